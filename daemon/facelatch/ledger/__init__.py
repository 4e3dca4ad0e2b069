"""The ledger: every audit event in a chain that cannot be changed unseen."""
