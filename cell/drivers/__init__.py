"""Devices behind the Protocols of `cell.contracts.drivers`, one folder each."""
