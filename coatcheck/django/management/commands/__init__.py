"""``coatcheck`` and ``clearsessions``."""
