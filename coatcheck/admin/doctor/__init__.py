"""What ``coatcheck doctor`` looks at beside the health: files, locks and cookies, one module each."""
