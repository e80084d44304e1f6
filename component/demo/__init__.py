"""`rapport demo`: a private Prosody, real clients, and a short scene between them."""
