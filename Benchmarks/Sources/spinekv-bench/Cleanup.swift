import Foundation
import Synchronization

/// What must not outlive the program, however it ends: its directory and its child process.
enum Cleanup {
  private struct State {
    var directory: String?
    var child: pid_t?
  }

  private static let state = Mutex(State())

  /// Makes a directory below `parent`, removed at the end, on failures and on interrupts.
  static func makeDirectory(in parent: String) throws -> String {
    let path = parent + "/spinekv-bench-\(getpid())"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    state.withLock { $0.directory = path }
    for number in [SIGINT, SIGTERM, SIGHUP] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { stop("interrupted by signal \(number)") }
      source.resume()
      // It listens as long as the program runs.
      _ = Unmanaged.passRetained(source as AnyObject)
    }
    return path
  }

  /// Notes the child process that runs now; nil when it has ended.
  static func note(child: pid_t?) { state.withLock { $0.child = child } }

  /// Kills the child and removes the directory.
  static func run() {
    state.withLock { state in
      if let child = state.child { kill(child, SIGKILL) }
      guard let directory = state.directory else { return }
      // Other threads may still be making files in it.
      for _ in 0..<20 where FileManager.default.fileExists(atPath: directory) {
        try? FileManager.default.removeItem(atPath: directory)
      }
    }
  }
}

/// Ends the program with a message, leaving nothing behind.
func stop(_ message: String) -> Never {
  FileHandle.standardError.write(Data("benchmark failed: \(message)\n".utf8))
  Cleanup.run()
  _exit(1)
}

/// Tells on standard error what is being done.
func progress(_ message: String) {
  FileHandle.standardError.write(Data("  \(message)\n".utf8))
}
