"""A module after whose import nothing can be forked."""

import threading
import time

threading.Thread(target=time.sleep, args=[1000], daemon=True).start()
