"""Runs jobs in this process or in others, with the same results everywhere. It knows nothing of cells.

``harness.execution.executors`` has three executors of one signature, ``run(jobs, make_worker, limits)``:

- ``here``: one job after the other in this process;
- ``processes``: in worker processes, each of which runs many jobs;
- ``isolated``: every job in a new process, with what it prints captured.

``make_worker`` is called with the device of each process and returns the worker: a function from a job to bytes. It
and the jobs are pickled on their way to a process; results come back as the worker's bytes and are never unpickled,
because a process that ran foreign code may send anything. A job that raises, kills its process or exceeds a limit comes
back as a ``JobFailure``.

``Limits`` says what jobs may use, and in which ``sandbox`` their processes run: ``confinement`` enters it before any
foreign code is imported, with Landlock (``reachable`` lists the files), namespaces and a filter of system calls, and
leaves a ``guardian`` outside that ends all that the job leaves.

``global_state`` restores what code can change for all others in its process, ``one_thread`` fixes the order of sums,
``peak_memory`` measures.
"""
