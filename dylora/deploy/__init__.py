"""A trained adapter taken out for use: files of other libraries, a card, the hub."""
