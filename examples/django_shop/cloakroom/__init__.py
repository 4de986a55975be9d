"""A small shop in Django whose sessions are in coatcheck."""
