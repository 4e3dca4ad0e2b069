"""The bridge: tells a broker, Home Assistant and notifications about the door. A process of its own."""
