"""How people get from an e-mail, or from their organisation's OpenID provider, to a session."""
