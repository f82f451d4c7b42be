import ArgumentParser
import Foundation
import KVBase
import KVStorage
import Synchronization

/// The child: writes until it is killed, and reports on standard output what is durable.
///
/// A report is 9 bytes, thread and step number, in one `write`: what the pipe holds survives the kill.
struct WriteCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "write", abstract: "Writes until killed; started by `run`.", shouldDisplay: false)

  @Option(help: "The store's directory.")
  var directory: String

  @Option(help: "Which round this is.")
  var round: Int

  @OptionGroup var workload: Workload

  func run() throws {
    let store = try Store.open(
      at: directory, fileSystem: PosixFileSystem(), options: Workload.options(.thread))
    let threads = (0..<workload.threads).map { number in
      Thread { write(store, thread: number) }
    }
    for thread in threads { thread.start() }
    while true { sleep(1000) }
  }

  private func write(_ store: Store, thread: Int) {
    var number = 1
    do throws(StorageError) {
      while true {
        let step = workload.step(round: round, thread: thread, number: number)
        let batch = workload.batch(step, round: round, thread: thread, number: number)
        let sequence = try store.append(batch)
        if step.syncs {
          try store.sync(through: sequence)
          report(thread, number)
        }
        number += 1
      }
    } catch {
      FileHandle.standardError.write(Data("writer \(thread): \(error)\n".utf8))
      Foundation.exit(3)
    }
  }

  private func report(_ thread: Int, _ number: Int) {
    var writer = ByteWriter(capacity: 9)
    writer.write(UInt8(thread))
    writer.write(fixed: UInt64(number))
    let count = writer.bytes.withUnsafeBytes { Glibc.write(1, $0.baseAddress, $0.count) }
    // The parent is gone or the pipe is closed: there is nobody to promise anything to.
    if count != 9 { Foundation.exit(4) }
  }
}
