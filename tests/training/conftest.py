"""Lets the tests of training import what stands in for cameras, finders, networks and photographs."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
