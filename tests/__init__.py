"""The promises of coatcheck, each as a test; the folders and files mirror the sources."""
