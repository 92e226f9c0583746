"""How notices are sent: each file exports one CHANNEL."""
