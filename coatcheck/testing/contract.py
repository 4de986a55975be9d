"""The conformance suite: every promise of :mod:`coatcheck.store.contract`, as tests that any store can join.

A store joins by a subclass that pytest collects, with two fixtures::

    class TestMyStore(StoreContract):
        @pytest.fixture
        def clock(self, tmp_path):                     # FakeClock() will do for a store in one process
            return FakeClock(tmp_path / "clock")

        @pytest.fixture
        def make_store(self, tmp_path, clock):
            with contextlib.ExitStack() as opened:
                def make(**settings):                  # each call: a new, empty store with these Settings
                    store = MyStore(Settings(home=..., clock=clock.setting, **settings))
                    opened.callback(store.close)
                    return store
                yield make

Where opening a store is slow, the subclass overrides ``store`` too and hands the same one to all tests: none of them
relies on an empty store or minds what others left in it. Such a store gets ``StoreContract.secrets``.
After every test ``check()`` must find nothing wrong.
"""

from __future__ import annotations

from coatcheck.testing.contract_admin import AdminContract
from coatcheck.testing.contract_changes import ChangesContract
from coatcheck.testing.contract_expiry import ExpiryContract
from coatcheck.testing.contract_flashes import FlashesContract
from coatcheck.testing.contract_lifecycle import LifecycleContract
from coatcheck.testing.contract_limits import LimitsContract
from coatcheck.testing.contract_login import LoginContract
from coatcheck.testing.contract_parallel import ParallelContract
from coatcheck.testing.contract_principals import PrincipalsContract
from coatcheck.testing.contract_repeats import RepeatsContract
from coatcheck.testing.contract_rotation import RotationContract
from coatcheck.testing.contract_sweep import SweepContract
from coatcheck.testing.contract_values import ValuesContract


class StoreContract(
    LifecycleContract,
    ChangesContract,
    ValuesContract,
    ExpiryContract,
    SweepContract,
    RotationContract,
    LoginContract,
    FlashesContract,
    PrincipalsContract,
    LimitsContract,
    RepeatsContract,
    ParallelContract,
    AdminContract,
):
    """All parts of the suite. Subclass it as ``Test...``; see the module for the fixtures to supply."""
