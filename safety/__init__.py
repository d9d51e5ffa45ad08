"""The guard and its checks: pure, synchronous, without I/O. Not safety-rated."""
