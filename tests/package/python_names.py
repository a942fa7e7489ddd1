"""docs/from_python.md has a row for every name of Python's: python_names.py REPOSITORY

The names are listed here, not asked of the Python that runs this, so that the check does not depend on its
version. They are those of Python 3.14: what a module defines or offers without an underscore, and the members
of its classes, each once. A row for a name that is not listed is one too many.
"""
import pathlib
import re
import sys

NAMES = {
    "multiprocessing": """
        Array AuthenticationError Barrier BoundedSemaphore BufferTooShort Condition Event JoinableQueue Lock Manager
        Pipe Pool Process ProcessError Queue RLock RawArray RawValue Semaphore SimpleQueue TimeoutError Value
        active_children allow_connection_pickling cpu_count current_process freeze_support get_all_start_methods
        get_context get_logger get_start_method log_to_stderr parent_process reducer set_executable
        set_forkserver_preload set_start_method SUBDEBUG SUBWARNING""",
    "multiprocessing.Process": """
        run start join is_alive name daemon pid ident exitcode authkey sentinel interrupt terminate kill close""",
    "multiprocessing.connection": """
        Client Connection Connection.send Connection.recv Connection.send_bytes Connection.recv_bytes
        Connection.recv_bytes_into Connection.poll Connection.fileno Connection.close Connection.closed
        Connection.readable Connection.writable Listener Listener.accept Listener.address Listener.last_accepted
        Listener.close Pipe XmlClient XmlListener address_type answer_challenge arbitrary_address
        deliver_challenge wait ConnectionWrapper SocketClient SocketListener rebuild_connection reduce_connection
        BUFSIZE CONNECTION_TIMEOUT MESSAGE_LENGTH default_family families""",
    "multiprocessing.managers": """
        BaseManager BaseManager.register BaseManager.start BaseManager.connect BaseManager.get_server
        BaseManager.join BaseManager.shutdown BaseManager.address SyncManager SyncManager.Array
        SyncManager.AsyncResult SyncManager.Barrier SyncManager.BoundedSemaphore SyncManager.Condition
        SyncManager.Event SyncManager.Iterator SyncManager.JoinableQueue SyncManager.Lock SyncManager.Namespace
        SyncManager.Pool SyncManager.Queue SyncManager.RLock SyncManager.Semaphore SyncManager.Value
        SyncManager.dict SyncManager.list SyncManager.set SharedMemoryManager SharedMemoryManager.SharedMemory
        SharedMemoryManager.ShareableList BaseProxy AutoProxy MakeProxyType BaseListProxy AcquirerProxy
        AcquirerProxy.acquire AcquirerProxy.release ArrayProxy BarrierProxy ConditionProxy EventProxy IteratorProxy
        NamespaceProxy PoolProxy ValueProxy ValueProxy.get ValueProxy.set ValueProxy.value DictProxy
        DictProxy.clear DictProxy.copy DictProxy.get DictProxy.items DictProxy.keys DictProxy.pop
        DictProxy.popitem DictProxy.setdefault DictProxy.update DictProxy.values ListProxy ListProxy.append
        ListProxy.clear ListProxy.copy ListProxy.count ListProxy.extend ListProxy.index ListProxy.insert ListProxy.pop
        ListProxy.remove ListProxy.reverse ListProxy.sort Namespace RemoteError Server SharedMemoryServer State Token
        ProcessLocalSet SetProxy BaseSetProxy BaseDictProxy BasePoolProxy Array Value RebuildProxy all_methods
        convert_to_error dispatch public_methods rebuild_as_list reduce_array HAS_SHMEM listener_client""",
    "multiprocessing.pool": """
        Pool Pool.Process Pool.apply Pool.apply_async Pool.map Pool.map_async Pool.starmap Pool.starmap_async
        Pool.imap Pool.imap_unordered Pool.close Pool.terminate Pool.join ThreadPool ApplyResult MapResult
        AsyncResult AsyncResult.get AsyncResult.wait AsyncResult.ready AsyncResult.successful IMapIterator
        IMapIterator.next IMapUnorderedIterator MaybeEncodingError ExceptionWithTraceback RemoteTraceback
        mapstar rebuild_exc starmapstar worker INIT RUN CLOSE TERMINATE job_counter""",
    "multiprocessing.shared_memory": """
        SharedMemory SharedMemory.buf SharedMemory.close SharedMemory.name SharedMemory.size SharedMemory.unlink
        ShareableList ShareableList.count ShareableList.index ShareableList.format""",
    "multiprocessing.sharedctypes": """
        RawValue RawArray Value Array copy synchronized Synchronized Synchronized.value SynchronizedBase
        SynchronizedBase.acquire SynchronizedBase.get_lock SynchronizedBase.get_obj SynchronizedBase.release
        SynchronizedArray SynchronizedString SynchronizedString.value SynchronizedString.raw make_property
        rebuild_ctype reduce_ctype class_cache prop_cache template typecode_to_type""",
    "multiprocessing.synchronize": """
        Lock Lock.acquire Lock.release Lock.locked RLock Semaphore Semaphore.acquire Semaphore.get_value
        Semaphore.release BoundedSemaphore Condition Condition.acquire Condition.release Condition.notify
        Condition.notify_all Condition.wait Condition.wait_for Event Event.clear Event.is_set Event.set Event.wait
        Barrier Barrier.abort Barrier.broken Barrier.n_waiting Barrier.parties Barrier.reset Barrier.wait
        SemLock RECURSIVE_MUTEX SEMAPHORE SEM_VALUE_MAX""",
    "multiprocessing.queues": """
        Queue Queue.put Queue.put_nowait Queue.get Queue.get_nowait Queue.qsize Queue.empty Queue.full Queue.close
        Queue.join_thread Queue.cancel_join_thread JoinableQueue JoinableQueue.task_done JoinableQueue.join
        SimpleQueue SimpleQueue.close SimpleQueue.empty SimpleQueue.get SimpleQueue.put Empty Full""",
    "concurrent.futures": """
        Executor ProcessPoolExecutor ProcessPoolExecutor.submit ProcessPoolExecutor.map
        ProcessPoolExecutor.shutdown ProcessPoolExecutor.terminate_workers ProcessPoolExecutor.kill_workers
        ThreadPoolExecutor InterpreterPoolExecutor Future Future.result Future.exception Future.done Future.cancel Future.cancelled
        Future.running Future.add_done_callback Future.set_exception Future.set_result
        Future.set_running_or_notify_cancel as_completed wait ALL_COMPLETED FIRST_COMPLETED FIRST_EXCEPTION
        BrokenExecutor BrokenProcessPool CancelledError InvalidStateError TimeoutError""",
}

page = pathlib.Path(sys.argv[1]) / "docs/from_python.md"
sections = dict(re.findall(r"^## `([\w.]+)`\n(.*?)(?=^## |\Z)", page.read_text(), re.DOTALL | re.MULTILINE))
wrong = []
for module, names in NAMES.items():
    rows = re.findall(r"^\| `([\w.]+)` \|[^|]*\S[^|]*\|[^|]*\|$", sections.get(module, ""), re.MULTILINE)
    expected = names.split()
    wrong += [f"{module}: no row for {name}" for name in expected if name not in rows]
    wrong += [f"{module}: a row for {name}, which is not listed here" for name in rows if name not in expected]
    wrong += [f"{module}: {name} has several rows" for name in set(rows) if rows.count(name) > 1]
for complaint in wrong:
    print(f"{page}: {complaint}", file=sys.stderr)
sys.exit(1 if wrong else 0)
