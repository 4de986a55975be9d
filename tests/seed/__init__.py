"""Bugs of the ancestor, each with the test that keeps it out.

coatcheck re-implements the session manager agent of acton-htmx (Rust). These are the bugs that were found in it (B) and
in its callers (C), by the numbers that this project gives them. A test is named after its row. "Elsewhere" names the
suite that has the test, "none" says why there is nothing to test.

====  =============================================================  =============================================
row   what was wrong there                                           where it is kept out
====  =============================================================  =============================================
B1    a touch through load was made on a copy and never stored       test_time
B2    cleanup removed live sessions by their old index entries       test_time
B3    cleanup removed what was created again after a delete          test_time
B4    the expiry index grew by one entry with each save              test_time
B5    nothing ever asked for cleanup                                 test_time
B6    Redis was announced and unused; everything lost on restart     test_loss; Redis: with its store
B7    a fixed 24 hours overruled the session's own lifetime          test_time
B8    flashes could be added to and taken from expired sessions      test_flash_rows
B9    a flash for a missing session was dropped in silence           test_flash_rows
B10   delete could not be confirmed and said nothing                 test_loss
B11   half of the requests never answered agents                     elsewhere: the actor lane
B12   flashes were destroyed when the answer did not arrive          test_flash_rows
B13   the agent mailed itself every answer                           elsewhere: the actor lane
B14   ... and deadlocked on its own full inbox                       elsewhere: the actor lane
B15   save created, revived the dead, and lost parallel updates      test_loss
B16   no limits at all                                               test_limits
B17   ids of 122 bits with many spellings                            test_limits
B18   whole sessions were copied for every load and save             none: benchmarks/ measure it
B19   a dead store looked like a missing session                     test_loss; kill -9: tests/faults
B20   load and cleanup disagreed at the deadline itself              test_time
B21   no list by user, no rotation, no counts                        test_limits
B22   the wall clock alone, and no way to hold it                    test_time
C1    each response wrote back the session as its request had read   test_loss; over HTTP: tests/flask
C2    a timeout gave the browser a new session                       elsewhere: tests/flask; the store's part is B19
C3    waiting for the agent had no deadline                          elsewhere: tests/faults/test_stop
C4    the cookie ended 24 hours after creation, in use or not        elsewhere: tests/flask
C5    two kinds of session that did not know each other              none: there is one kind
C6    the id stayed the same at login and logout                     test_limits; over HTTP: tests/flask
C7    a session for every bot and every static file                  elsewhere: tests/flask
C8    a cookie that could not be read hid a good one                 elsewhere: tests/flask
====  =============================================================  =============================================
"""
