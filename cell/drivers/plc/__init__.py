"""The line PLC: register map, codec, Modbus client, simulated line."""
