"""Who acts: one module per actor, and beside each what it does that needs no Thespian.

====================  ===================  ==============================================================
actor                 module               what it is for
====================  ===================  ==============================================================
SystemSupervisor      supervisor.py        the only named actor: starts the others, and again when they end
SessionManager        session_manager.py   all verbs of the store as messages, and the store's upkeep
RedisPersistence      redis_persistence.py what a host does for its sessions in Redis, where there is one
====================  ===================  ==============================================================
"""

if __name__ != "coatcheck.actors":  # found as plain `actors` in a checkout: the same module, never a twin
    from coatcheck._alias import be

    be(__name__, "coatcheck.actors")

# Exports: absolute imports of coatcheck.actors.x only, which are the same objects under either name.
from coatcheck.actors.redis_persistence import RedisPersistence
from coatcheck.actors.session_manager import SessionManager
from coatcheck.actors.supervisor import SystemSupervisor

__all__ = ["RedisPersistence", "SessionManager", "SystemSupervisor"]
