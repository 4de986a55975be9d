"""Who acts: one module per actor."""

if __name__ != "coatcheck.actors":  # found as plain `actors` in a checkout: the same module, never a twin
    from coatcheck._alias import be

    be(__name__, "coatcheck.actors")

# Exports: absolute imports of coatcheck.actors.x only, which are the same objects under either name.
