import Foundation
import KVBase
import KVStorage
import Synchronization
import Testing

@Suite struct BackupTests {
  private func open(_ fileSystem: any FileSystem, at path: String) throws -> Store {
    try Store.open(at: path, fileSystem: fileSystem, options: .tiny)
  }

  @Test func `a backup holds what was appended before it and nothing later`() throws {
    let fileSystem = CrashableFileSystem()
    let workload = CrashWorkload(seed: 3, batchCount: 120)
    let store = try open(fileSystem, at: "/store")
    for index in 0..<100 {
      _ = try store.append(workload.batch(index))
      if index % 3 == 0 { _ = try store.performBackgroundWork() }
    }
    let report = try store.backup(to: "/backups/1")
    #expect(report.lastSequence == store.appendedSequence.rawValue)
    #expect(report.linkedByteCount > 0 && report.reusedByteCount == 0)
    for index in 100..<120 { try store.write(workload.batch(index)) }
    try store.compact()
    try store.close()
    #expect(
      try StoreInspector(at: "/backups/1", fileSystem: fileSystem).verify().problems == [])
    let copy = try open(fileSystem, at: "/backups/1")
    #expect(copy.openReport.wasRestored && !copy.openReport.wasCreated)
    #expect(!copy.openReport.wasCleanShutdown)
    #expect(try copy.scan() == workload.model(after: 100, at: 0).sorted)
    let again = try open(fileSystem, at: "/store")
    #expect(!again.openReport.wasRestored)
    #expect(try again.scan() == workload.model(after: 120, at: 0).sorted)
  }

  @Test func `an empty store can be backed up`() throws {
    let fileSystem = CrashableFileSystem()
    let store = try open(fileSystem, at: "/store")
    let report = try store.backup(to: "/backup")
    #expect(report.lastSequence == 0 && report.linkedByteCount == 0)
    #expect(try open(fileSystem, at: "/backup").scan().isEmpty)
  }

  @Test func `a directory that holds something is refused`() throws {
    let fileSystem = CrashableFileSystem()
    let store = try open(fileSystem, at: "/store")
    _ = try store.backup(to: "/backup")
    for target in ["/backup", "/store"] {
      let error = #expect(throws: StorageError.self) { try store.backup(to: target) }
      #expect(error?.code == .directoryNotEmpty && error?.path == target)
      #expect(throws: StorageError.self) {
        try Store.restore(from: "/backup", to: target, fileSystem: fileSystem)
      }
    }
    #expect(throws: StorageError.self) { try store.backup(to: "/new", after: "/nothing") }
    let error = #expect(throws: StorageError.self) {
      try Store.restore(from: "/store", to: "/new", fileSystem: fileSystem)
    }
    #expect(error?.code == .notFound)
  }

  /// Writers put ascending numbers; each acknowledged number is noted after its sync.
  @Test func `a backup beside writers holds a prefix of each, with everything acknowledged`() throws
  {
    var options = StoreOptions.tiny
    options.background = .thread
    options.memtableByteLimit = 16 << 10
    options.replayByteLimit = 64 << 10
    let root = NSTemporaryDirectory() + "spinekv-backup-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: root) }
    let fileSystem = PosixFileSystem()
    let store = try Store.open(at: root + "/store", fileSystem: fileSystem, options: options)
    let writers = 3
    let acknowledged = Mutex([Int](repeating: 0, count: writers))
    let isDone = Atomic<Bool>(false)
    let failures = Mutex<[String]>([])
    let floors = Mutex<[[Int]]>([])
    runThreads(writers + 1) { thread in
      do {
        guard thread < writers else {
          for round in 0..<8 {
            // So that there is something new.
            while !isDone.load(ordering: .relaxed),
              acknowledged.withLock({ $0.min() ?? 0 }) < 40 * round
            { usleep(1000) }
            floors.withLock { $0.append(acknowledged.withLock { $0 }) }
            _ = try store.backup(to: root + "/backup-\(round)")
          }
          isDone.store(true, ordering: .relaxed)
          return
        }
        var number = 0
        while !isDone.load(ordering: .relaxed) {
          number += 1
          try store.write(BackupTests.batch(thread, number))
          acknowledged.withLock { $0[thread] = number }
        }
      } catch {
        failures.withLock { $0.append("\(error)") }
        isDone.store(true, ordering: .relaxed)
      }
    }
    #expect(failures.withLock { $0 } == [])
    try store.close()
    for (round, floor) in floors.withLock({ $0 }).enumerated() {
      let path = root + "/backup-\(round)"
      #expect(try StoreInspector(at: path, fileSystem: fileSystem).verify().problems == [])
      let copy = try Store.open(at: path, fileSystem: fileSystem, options: options)
      for writer in 0..<writers { try check(copy, writer, atLeast: floor[writer]) }
      try copy.close()
    }
  }

  /// Runs the body on so many threads at once, whatever the machine has, until all have returned.
  private func runThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let group = DispatchGroup()
    for index in 0..<count {
      group.enter()
      Thread.detachNewThread {
        body(index)
        group.leave()
      }
    }
    group.wait()
  }

  private static func batch(_ writer: Int, _ number: Int) -> WriteBatch {
    var batch = WriteBatch()
    let value = bytes("\(number)/") + Bytes(repeating: 7, count: number % 300)
    batch.put(bytes("last/\(writer)"), bytes("\(number)"))
    batch.put(bytes("w\(writer)/\(number % 50)"), value)
    return batch
  }

  private func check(_ store: Store, _ writer: Int, atLeast floor: Int) throws {
    let text = try store.get(bytes("last/\(writer)")).map { String(decoding: $0, as: UTF8.self) }
    let last = try #require(Int(text ?? "0"))
    #expect(last >= floor)
    for number in max(1, last - 49)...max(1, last) where last > 0 {
      let value = try store.get(bytes("w\(writer)/\(number % 50)"))
      #expect(value?.starts(with: bytes("\(number)/")) == true, "\(number) of \(last)")
    }
  }

  @Test func `every backup of an incremental chain keeps its own state`() throws {
    let base = CrashableFileSystem()
    let fileSystem = TwoDevices(base: base, other: "/mnt")
    let workload = CrashWorkload(seed: 8, batchCount: 250)
    let store = try open(fileSystem, at: "/store")
    // Values that stay where they are.
    for index in UInt8(0)..<20 {
      var batch = WriteBatch()
      batch.put([0xFF, index], Bytes(repeating: index, count: 2000))
      try store.write(batch)
    }
    var reports: [BackupReport] = []
    for round in 0..<5 {
      for index in round * 50..<(round + 1) * 50 {
        try store.write(workload.batch(index))
        if index % 7 == 0 { _ = try store.performBackgroundWork() }
      }
      reports.append(
        try store.backup(
          to: "/mnt/\(round)", after: round == 0 ? nil : "/mnt/\(round - 1)"))
    }
    #expect(reports[0].linkedByteCount == 0 && reports[0].copiedByteCount > 0)
    #expect(reports[1...].contains { $0.reusedByteCount > 0 })
    #expect(reports.allSatisfy { $0.linkedByteCount == $0.reusedByteCount })
    try store.compact()
    try store.close()
    for name in try base.list("/store/ledger") { try base.remove("/store/ledger/\(name)") }
    for round in (0..<5).reversed() {
      let path = "/mnt/\(round)"
      #expect(try StoreInspector(at: path, fileSystem: base).verify().problems == [])
      let copy = try open(base, at: path)
      let expected = workload.model(after: (round + 1) * 50, at: 0).sorted
      #expect(try copy.scan(to: [0xFF]) == expected, "\(round)")
      #expect(try copy.scan(from: [0xFF]).count == 20)
      while try copy.performBackgroundWork() {}
      try copy.close()
    }
  }

  @Test(.enabled(if: FileManager.default.isWritableFile(atPath: "/dev/shm")))
  func `a backup on another real file system is a copy, the next one mostly links`() throws {
    let name = "spinekv-backup-\(UUID().uuidString)"
    let (root, other) = (NSTemporaryDirectory() + name, "/dev/shm/" + name)
    defer { for path in [root, other] { try? FileManager.default.removeItem(atPath: path) } }
    let fileSystem = PosixFileSystem()
    let store = try open(fileSystem, at: root)
    var batch = WriteBatch()
    var random = SeededRandom(seed: 1)
    for index in 0..<100 {
      batch.put(bytes("\(index)"), (0..<5000).map { _ in UInt8(random.below(256)) })
    }
    try store.write(batch)
    let first = try store.backup(to: other + "/1")
    let second = try store.backup(to: other + "/2", after: other + "/1")
    #expect(first.copiedByteCount > 500_000 && first.linkedByteCount == 0)
    #expect(second.reusedByteCount > 500_000 && second.copiedByteCount < 10_000)
    try store.close()
    try Store.restore(from: other + "/2", to: other + "/3", fileSystem: fileSystem)
    let restored = try open(fileSystem, at: other + "/3")
    #expect(try restored.scan().count == 100)
    try restored.close()
  }

  @Test func `a segment of another store is not taken for an unchanged one`() throws {
    let base = CrashableFileSystem()
    let fileSystem = TwoDevices(base: base, other: "/mnt")
    for (path, value) in [("/a", UInt8(1)), ("/b", UInt8(2))] {
      let store = try open(fileSystem, at: path)
      var batch = WriteBatch()
      for index in 0..<20 {
        batch.put(bytes("key\(index)"), Bytes(repeating: value, count: 10_000))
      }
      try store.write(batch)
      try store.close()
    }
    let a = try open(fileSystem, at: "/a")
    _ = try a.backup(to: "/mnt/a")
    let b = try open(fileSystem, at: "/b")
    let report = try b.backup(to: "/mnt/b", after: "/mnt/a")
    #expect(report.reusedByteCount == 0)
    #expect(try open(base, at: "/mnt/b").get(bytes("key3"))?.first == 2)
  }

  @Test func `a restored store says so until it is acknowledged`() throws {
    let fileSystem = CrashableFileSystem()
    let workload = CrashWorkload(seed: 5, batchCount: 60)
    let store = try open(fileSystem, at: "/store")
    for index in 0..<60 { try store.write(workload.batch(index)) }
    _ = try store.backup(to: "/backup")
    let report = try Store.restore(from: "/backup", to: "/new", fileSystem: fileSystem)
    #expect(report.lastSequence == store.appendedSequence.rawValue)
    #expect(report.copiedByteCount < report.linkedByteCount)
    var restored = try open(fileSystem, at: "/new")
    #expect(restored.openReport.wasRestored)
    #expect(try restored.scan() == workload.model(after: 60, at: 0).sorted)
    try restored.close()
    restored = try open(fileSystem, at: "/new")
    #expect(restored.openReport.wasRestored && restored.openReport.wasCleanShutdown)
    try restored.acknowledgeRestore()
    try restored.close()
    restored = try open(fileSystem, at: "/new")
    #expect(!restored.openReport.wasRestored)
    // The backup itself was not touched.
    try Store.restore(from: "/backup", to: "/newer", fileSystem: fileSystem)
  }

  @Test func `a damaged or incomplete backup is not restored`() throws {
    let fileSystem = CrashableFileSystem()
    let workload = CrashWorkload(seed: 5, batchCount: 60)
    let store = try open(fileSystem, at: "/store")
    for index in 0..<60 { try store.write(workload.batch(index)) }
    _ = try store.backup(to: "/backup")
    try store.close()
    let files = try ["journal", "ledger"].flatMap { folder in
      try fileSystem.list("/backup/\(folder)").map { "\(folder)/\($0)" }
    }
    var random = SeededRandom(seed: 4)
    for name in files {
      for isMissing in [false, true] {
        let copy = fileSystem.crash(random: &random)
        let path = "/backup/\(name)"
        if isMissing {
          try copy.remove(path)
        } else {
          copy.corrupt(path, at: try copy.size(path) / 2, mask: 4)
        }
        let error = #expect(throws: StorageError.self, "\(name)") {
          try Store.restore(from: "/backup", to: "/new", fileSystem: copy)
        }
        #expect(error?.isCorruption == true && error?.path == path, "\(String(describing: error))")
        #expect(try !copy.exists("/new"))
        // Opening it would not notice a missing segment of the journal without the list.
        if isMissing {
          #expect(throws: StorageError.self) { try open(copy, at: "/backup") }
        }
      }
    }
  }

  @Test func `a power failure during a backup harms neither store nor backup`() throws {
    let workload = CrashWorkload(seed: 21, batchCount: 50)
    var number = 1
    var complete = 0
    while true {
      let fileSystem = CrashableFileSystem()
      let store = try open(fileSystem, at: "/store")
      for index in 0..<50 {
        try store.write(workload.batch(index))
        if index % 10 == 0 { _ = try store.performBackgroundWork() }
      }
      fileSystem.injectFault(.powerOff, at: number)
      let isDone = (try? store.backup(to: "/backup")) != nil
      var random = SeededRandom(seed: UInt64(number))
      let crashed = fileSystem.crash(random: &random)
      let (source, _) = try workload.reopen(crashed, durable: 50, "at \(number)")
      try source.close()
      let exists = try crashed.exists("/backup/ledger/CURRENT")
      if isDone { #expect(exists) }
      if exists {
        complete += 1
        #expect(try StoreInspector(at: "/backup", fileSystem: crashed).verify().problems == [])
        let copy = try open(crashed, at: "/backup")
        #expect(try copy.scan() == workload.model(after: 50, at: 0).sorted, "at \(number)")
      }
      if isDone { break }
      number += 1
    }
    #expect(number > 15 && complete >= 1, "\(number) operations, \(complete) complete")
  }

  @Test func `a failed operation during a backup leaves the store usable`() throws {
    let workload = CrashWorkload(seed: 22, batchCount: 60)
    for fault in [CrashableFileSystem.Fault.diskFull, .inputOutput] {
      var number = 1
      while true {
        let fileSystem = CrashableFileSystem()
        let store = try open(fileSystem, at: "/store")
        for index in 0..<50 { _ = try store.append(workload.batch(index)) }
        fileSystem.injectFault(fault, at: number)
        let isDone = (try? store.backup(to: "/backup")) != nil
        fileSystem.clearFaults()
        do throws(StorageError) {
          for index in 50..<60 { try store.write(workload.batch(index)) }
          #expect(
            try store.scan() == workload.model(after: 60, at: 0).sorted, "\(fault) at \(number)")
        } catch {
          // A sync that failed, for whatever reason, leaves open what is on the disk.
          #expect(error.code == .journalPoisoned, "\(error) at \(number)")
        }
        if isDone { break }
        number += 1
      }
    }
  }
}

/// A file system of which one directory is on another device.
struct TwoDevices: FileSystem {
  let base: CrashableFileSystem
  let other: String

  private func isOther(_ path: String) -> Bool { path.hasPrefix(other) }

  func link(_ path: String, to newPath: String) throws(StorageError) {
    guard isOther(path) == isOther(newPath) else {
      throw StorageError(.cannotLink, "link: another device", path: newPath)
    }
    try base.link(path, to: newPath)
  }

  func createDirectory(_ path: String) throws(StorageError) { try base.createDirectory(path) }
  func open(_ path: String) throws(StorageError) -> any ReadableFile { try base.open(path) }
  func create(_ path: String) throws(StorageError) -> any WritableFile { try base.create(path) }
  func remove(_ path: String) throws(StorageError) { try base.remove(path) }
  func rename(_ path: String, to newPath: String) throws(StorageError) {
    try base.rename(path, to: newPath)
  }
  func list(_ directory: String) throws(StorageError) -> [String] { try base.list(directory) }
  func exists(_ path: String) throws(StorageError) -> Bool { try base.exists(path) }
  func size(_ path: String) throws(StorageError) -> Int { try base.size(path) }
  func syncDirectory(_ path: String) throws(StorageError) { try base.syncDirectory(path) }
  func lock(_ path: String) throws(StorageError) -> any FileLock { try base.lock(path) }
  var secondsSinceEpoch: UInt64 { base.secondsSinceEpoch }
}
