import KVBase
import KVStorage
import Testing

@Suite struct StoreTests {
  private func open(_ fileSystem: CrashableFileSystem, _ options: StoreOptions = .tiny) throws
    -> Store
  {
    try Store.open(at: "/data/store", fileSystem: fileSystem, options: options)
  }

  @Test func `a store answers puts, deletes, heads and scans`() throws {
    let store = try open(CrashableFileSystem())
    #expect(store.openReport.wasCreated && store.openReport.wasCleanShutdown)
    var batch = WriteBatch()
    batch.put(bytes("b"), bytes("head and body"), headByteCount: 4)
    batch.put(bytes("a"), [])
    batch.put(bytes("c"), bytes("gone"))
    batch.delete(bytes("c"))
    let sequence = try store.append(batch)
    #expect(sequence == SequenceNumber(4))
    #expect(store.syncedSequence == .zero)
    #expect(try store.get(bytes("b")) == bytes("head and body"))
    #expect(try store.head(bytes("b")) == bytes("head"))
    #expect(try store.get(bytes("a")) == [])
    #expect(try store.get(bytes("c")) == nil)
    #expect(try store.contains(bytes("a")))
    try store.sync(through: sequence)
    #expect(store.syncedSequence == sequence)
    #expect(try store.scan(.keys).map(\.key) == [bytes("a"), bytes("b")])
    #expect(try store.scan(from: bytes("aa"), limit: 5, .heads).map(\.value) == [bytes("head")])
    #expect(try store.scan(to: bytes("b")).map(\.key) == [bytes("a")])
    #expect(try store.scan(limit: 0).isEmpty)
  }

  @Test func `what was closed in order is found again`() throws {
    let fileSystem = CrashableFileSystem()
    let store = try open(fileSystem)
    var batch = WriteBatch()
    batch.put(bytes("k"), bytes("v"), headByteCount: 1)
    try store.write(batch)
    try store.close()
    #expect(throws: StorageError.self) { try store.get(bytes("k")) }
    let again = try open(fileSystem)
    #expect(again.openReport.wasCleanShutdown && !again.openReport.wasCreated)
    #expect(again.openReport.recordsReplayed == 0)
    #expect(again.appendedSequence == SequenceNumber(1))
    #expect(try again.get(bytes("k")) == bytes("v"))
  }

  @Test func `a store that was only dropped replays its journal`() throws {
    let fileSystem = CrashableFileSystem()
    var batch = WriteBatch()
    batch.put(bytes("k"), bytes("v"))
    try open(fileSystem).write(batch)
    let again = try open(fileSystem)
    #expect(!again.openReport.wasCleanShutdown)
    #expect(again.openReport.recordsReplayed == 1 && again.openReport.tornJournalByteCount == 0)
    #expect(try again.get(bytes("k")) == bytes("v"))
  }

  @Test func `the directory is locked against a second store`() throws {
    let fileSystem = CrashableFileSystem()
    let store = try open(fileSystem)
    let error = #expect(throws: StorageError.self) { try open(fileSystem) }
    #expect(error?.code == .locked)
    try store.close()
    _ = try open(fileSystem)
  }

  @Test func `keys, values and options beyond the limits are refused`() throws {
    let store = try open(CrashableFileSystem())
    var batch = WriteBatch()
    batch.put(Bytes(repeating: 1, count: StoreLimits.keyByteCount + 1), [])
    #expect(throws: StorageError.self) { try store.append(batch) }
    batch.removeAll()
    batch.put([1], Bytes(repeating: 1, count: StoreLimits.valueByteCount + 1))
    let error = #expect(throws: StorageError.self) { try store.append(batch) }
    #expect(error?.code == .valueTooLarge)
    batch.removeAll()
    batch.put(Bytes(repeating: 1, count: StoreLimits.keyByteCount), [7])
    try store.write(batch)
    var options = StoreOptions.tiny
    options.level0StallFileCount = 1
    #expect(throws: StorageError.self) { try open(CrashableFileSystem(), options) }
  }
}
