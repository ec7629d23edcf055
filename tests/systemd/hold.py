"""Stops the threads of a process whose names begin so, as a debugger does, until it is killed or the process is."""

import ctypes
import os
import sys

SEIZE, INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000

ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

pid, prefix = sys.argv[1:]
tasks = f"/proc/{pid}/task"
names = {task: open(f"{tasks}/{task}/comm").read().strip() for task in os.listdir(tasks)}
held = [int(task) for task, name in names.items() if name.startswith(prefix)]
if not held:
    sys.exit(f"no thread of {pid} is called {prefix}...: {sorted(set(names.values()))}")
for task in held:
    for request in SEIZE, INTERRUPT:
        if ptrace(request, task, None, None) != 0:
            sys.exit(f"thread {task} cannot be held: {os.strerror(ctypes.get_errno())}")
    os.waitpid(task, WALL)
print("held", flush=True)
for task in held:
    # Whoever traces a thread has to take note of its end; before that the process is not gone.
    os.waitpid(task, WALL)
