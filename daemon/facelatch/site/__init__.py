"""Pure machines of the site around the lock: contact, exit button, alarms, modes. Standard library only."""
