#!/bin/sh
# Makes an environment with Home Assistant's core and its MQTT integration, without pages, cloud voice and bluetooth.
#
#   make.sh PYTHON FOLDER       PYTHON: 3.13, with venv
#
# 70 packages in Home Assistant's own versions, a third of what the whole asks for.
set -eu
python=$1 folder=$2
version=2025.4.4

"$python" -I -m venv "$folder"
pip() { "$folder/bin/python" -I -m pip "$@" --quiet --disable-pip-version-check; }
pip download --no-deps --dest "$folder/wheel" "homeassistant==$version"
# Which versions it was tried with; of this one it names a version that must be compiled.
"$folder/bin/python" -I -m zipfile --extract "$folder/wheel/homeassistant-$version-py3-none-any.whl" "$folder/whole"
grep -v '^lru-dict' "$folder/whole/homeassistant/package_constraints.txt" >"$folder/constraints.txt"
rm -rf "$folder/whole"
pip install --no-deps "$folder/wheel/homeassistant-$version-py3-none-any.whl"
rm -rf "$folder/wheel"
pip install --prefer-binary --constraint "$folder/constraints.txt" \
    acme aiodns aiohasupervisor aiohttp aiohttp-asyncmdnsresolver aiohttp-cors aiohttp-fast-zlib aiozoneinfo \
    annotatedyaml astral async-interrupt atomicwrites-homeassistant attrs awesomeversion bcrypt certifi ciso8601 cronsim \
    cryptography fnv-hash-fast hass-nabucasa ifaddr Jinja2 lru-dict orjson packaging paho-mqtt propcache \
    psutil-home-assistant PyJWT pyOpenSSL python-slugify PyYAML requests securetar SQLAlchemy typing-extensions \
    ulid-transform urllib3 voluptuous voluptuous-serialize voluptuous-openapi webrtc-models yarl zeroconf
