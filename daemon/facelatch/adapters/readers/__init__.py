"""Keypads and card readers: one library a file. An OSDP reader (RS-485, libosdp) would be a third one."""
