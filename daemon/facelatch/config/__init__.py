"""`facelatch.toml`: one module for each group of sections, and the file that joins them."""
