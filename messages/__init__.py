"""What actors say to each other, and what applications say to them: one module per conversation.

======================  ========================================================  ==========================
module                  who asks                                                  who answers
======================  ========================================================  ==========================
``sessions``            applications                                              the SessionManager
``upkeep``              administrators                                            the SessionManager
``admin``               administrators                                            every actor, the manager
``redis``               administrators                                            the RedisPersistence
``supervision``         who joins a system                                        the SystemSupervisor
``failures``            -                                                         every actor
======================  ========================================================  ==========================

Requests are in the imperative, replies in the past. Names are unique in the whole project, errors included: Thespian
dispatches on the bare name of the class. No message shows a token or session data in ``str()`` or ``repr()``.
"""

if __name__ != "coatcheck.messages":  # found as plain `messages` in a checkout: the same module, never a twin
    from coatcheck._alias import be

    be(__name__, "coatcheck.messages")

# Exports: absolute imports of coatcheck.messages.x only, which are the same objects under either name.
from coatcheck.messages.admin import (
    ActorReport,
    InspectActor,
    InspectStore,
    ScanSessions,
    SessionsScanned,
    StoreInspected,
)
from coatcheck.messages.failures import RequestFailed
from coatcheck.messages.packing import Message, QuietRequest, Reply, Request
from coatcheck.messages.redis import InspectRedis, RedisInspected
from coatcheck.messages.sessions import (
    AddFlash,
    CreateSession,
    DeleteSession,
    FindSession,
    FlashAdded,
    FlashesRestored,
    FlashesTaken,
    ListSessions,
    LoadSession,
    LoginSession,
    RestoreFlashes,
    RevokeSessions,
    RotateSession,
    SaveConflicted,
    SaveSession,
    SessionAbsent,
    SessionCreated,
    SessionDeleted,
    SessionLoaded,
    SessionRotated,
    SessionSaved,
    SessionsListed,
    SessionsRevoked,
    SessionTouched,
    TakeFlashes,
    TouchSession,
)
from coatcheck.messages.supervision import FindManager, ManagerFound
from coatcheck.messages.upkeep import (
    BackupStore,
    CheckStore,
    CleanupExpired,
    CompactStore,
    SessionsCleaned,
    StoreBackedUp,
    StoreChecked,
    StoreCompacted,
    StoreSynced,
    SyncStore,
)

__all__ = [
    "ActorReport",
    "AddFlash",
    "BackupStore",
    "CheckStore",
    "CleanupExpired",
    "CompactStore",
    "CreateSession",
    "DeleteSession",
    "FindManager",
    "FindSession",
    "FlashAdded",
    "FlashesRestored",
    "FlashesTaken",
    "InspectActor",
    "InspectRedis",
    "InspectStore",
    "ListSessions",
    "LoadSession",
    "LoginSession",
    "ManagerFound",
    "Message",
    "QuietRequest",
    "RedisInspected",
    "Reply",
    "Request",
    "RequestFailed",
    "RestoreFlashes",
    "RevokeSessions",
    "RotateSession",
    "SaveConflicted",
    "SaveSession",
    "ScanSessions",
    "SessionAbsent",
    "SessionCreated",
    "SessionDeleted",
    "SessionLoaded",
    "SessionRotated",
    "SessionSaved",
    "SessionTouched",
    "SessionsCleaned",
    "SessionsListed",
    "SessionsRevoked",
    "SessionsScanned",
    "StoreBackedUp",
    "StoreChecked",
    "StoreCompacted",
    "StoreInspected",
    "StoreSynced",
    "SyncStore",
    "TakeFlashes",
    "TouchSession",
]
