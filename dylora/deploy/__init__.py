"""A trained adapter taken out for use: folders of other libraries, a card, the hub."""
