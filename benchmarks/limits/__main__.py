"""`python -m benchmarks.limits`: the machine's limits as a table."""

import corepy as cp
from benchmarks.limits import measure, table

print("\n".join(table(measure(tuple(cp.simd_levels()), cp.get_num_threads()))))
