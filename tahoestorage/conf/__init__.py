"""
The configuration of a site: the options of its storages, and the settings behind them.

Any module of `tahoestorage` may import it, as `from tahoestorage import conf`. Begin with
`options.py`, the table of all options. `basecap.py` finds the cap and hides it; `connection.py`
reads everything else.
"""

from tahoestorage.conf.basecap import CapMissing as CapMissing
from tahoestorage.conf.basecap import CapNotText as CapNotText
from tahoestorage.conf.basecap import base_cap as base_cap
from tahoestorage.conf.basecap import cap_file as cap_file
from tahoestorage.conf.basecap import hidden as hidden
from tahoestorage.conf.basecap import hide_caps as hide_caps
from tahoestorage.conf.basecap import written_cap as written_cap
from tahoestorage.conf.basecap import written_down as written_down
from tahoestorage.conf.connection import Connection as Connection
from tahoestorage.conf.connection import address as address
from tahoestorage.conf.connection import base_url as base_url
from tahoestorage.conf.connection import cache as cache
from tahoestorage.conf.connection import connection as connection
from tahoestorage.conf.connection import content_cache as content_cache
from tahoestorage.conf.connection import fanout as fanout
from tahoestorage.conf.connection import gateways as gateways
from tahoestorage.conf.connection import location as location
from tahoestorage.conf.connection import observer as observer
from tahoestorage.conf.connection import security as security
from tahoestorage.conf.connection import signed_urls as signed_urls
from tahoestorage.conf.connection import writer as writer
from tahoestorage.conf.options import OPTIONS as OPTIONS
from tahoestorage.conf.options import SETTINGS as SETTINGS
from tahoestorage.conf.options import Options as Options
from tahoestorage.conf.options import checked as checked
from tahoestorage.conf.options import shown as shown
from tahoestorage.conf.options import unknown_options as unknown_options
from tahoestorage.conf.options import value as value
from tahoestorage.conf.options import where as where
