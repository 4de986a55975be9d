"""The pages, one module each: what it reads, and its ``routes``."""
