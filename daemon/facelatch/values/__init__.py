"""The nouns: what travels between the rooms, frozen and without behaviour."""
