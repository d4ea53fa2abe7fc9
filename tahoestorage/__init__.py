import sys

if "eventlet" in sys.modules:
    from tahoestorage.reactor.threads import refuse_eventlet

    # Before other imports, some of which fail with it and do not say why.
    refuse_eventlet()
