"""Training of policies; the only part of `policies` that may import torch."""
