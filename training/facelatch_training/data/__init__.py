"""From pictures of people to a crop set, and from a crop set to crops in memory."""
