"""The virtual line PLC: a Modbus server with the logic of a picking line."""
