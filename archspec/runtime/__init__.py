"""What torch lacks to run a network, and measuring of a real run."""
