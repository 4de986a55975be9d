"""What actors say to each other, and what applications say to them: one module per conversation."""

if __name__ != "coatcheck.messages":  # found as plain `messages` in a checkout: the same module, never a twin
    from coatcheck._alias import be

    be(__name__, "coatcheck.messages")

# Exports: absolute imports of coatcheck.messages.x only, which are the same objects under either name.
