"""Where sessions are kept: the contract of all stores, and the one on LMDB."""
