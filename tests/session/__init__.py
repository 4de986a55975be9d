"""Sessions as applications see them."""
