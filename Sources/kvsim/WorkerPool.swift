import Glibc
import KVSimulator

/// Worker processes that share a range of seeds; one that dies is replaced from its next seed on.
struct WorkerPool {
  private struct Process {
    var identifier: pid_t
    var output: Int32
    var buffer: [UInt8] = []
    var next: UInt64
    var running: UInt64?
    var start = ContinuousClock.now
    var probes = ProbeCounts()
    var failure: SimulationFailure?
    var size = RunSize()
  }

  /// The processors of this machine.
  static var processors: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

  /// A seed that takes longer than this has hung; a run takes a fraction of a second.
  private static let patience = Duration.seconds(300)

  private let range: SeedRange
  private let jobs: Int
  private let arguments: [String]
  private var processes: [Process] = []
  private(set) var outcomes = RunOutcomes()

  private let stopsAtFailure: Bool

  init(range: SeedRange, jobs: Int, arguments: [String], stopsAtFailure: Bool = false) {
    self.stopsAtFailure = stopsAtFailure
    self.range = range
    self.jobs = jobs
    self.arguments = arguments
  }

  /// Runs all seeds; each outcome is handed to `progress` as it comes.
  mutating func run(progress: (RunOutcomes) -> Void) -> RunOutcomes {
    for offset in 0..<UInt64(jobs) where range.first + offset <= range.last {
      start(from: range.first + offset)
    }
    while !processes.isEmpty {
      var polls = processes.map { pollfd(fd: $0.output, events: Int16(POLLIN), revents: 0) }
      guard poll(&polls, nfds_t(polls.count), 1000) >= 0 || errno == EINTR else { break }
      for process in processes where process.start.duration(to: .now) > Self.patience {
        // The end of its output tells that it is gone.
        kill(process.identifier, SIGKILL)
      }
      for index in processes.indices.reversed() where polls[index].revents != 0 {
        read(index)
        progress(outcomes)
      }
      if isStopping { for process in processes { kill(process.identifier, SIGKILL) } }
    }
    return outcomes
  }

  private var isStopping: Bool { stopsAtFailure && outcomes.hasFailure }

  private mutating func start(from seed: UInt64) {
    guard seed <= range.last, !isStopping else { return }
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { fatalError("no pipe: error \(errno)") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    let words =
      [
        "kvsim", "worker", "--first", "\(seed)", "--last", "\(range.last)", "--stride", "\(jobs)",
      ] + arguments
    var vector: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    var identifier: pid_t = 0
    let status = posix_spawn(
      &identifier, "/proc/self/exe", &actions, nil, &vector, environ)
    for word in vector { free(word) }
    posix_spawn_file_actions_destroy(&actions)
    close(ends[1])
    guard status == 0 else { fatalError("cannot start a worker: error \(status)") }
    processes.append(Process(identifier: identifier, output: ends[0], next: seed))
  }

  private mutating func read(_ index: Int) {
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    let count = Glibc.read(processes[index].output, &chunk, chunk.count)
    guard count > 0 else {
      if count < 0, errno == EINTR { return }
      end(index)
      return
    }
    processes[index].buffer += chunk.prefix(count)
    while let newline = processes[index].buffer.firstIndex(of: UInt8(ascii: "\n")) {
      let line = String(decoding: processes[index].buffer[..<newline], as: UTF8.self)
      processes[index].buffer.removeSubrange(...newline)
      if let line = WorkerLine(line) { take(line, index) }
    }
  }

  private mutating func take(_ line: WorkerLine, _ index: Int) {
    switch line {
    case .start(let seed):
      processes[index].running = seed
      processes[index].start = .now
      processes[index].next = seed + UInt64(jobs)
      processes[index].probes = ProbeCounts()
      processes[index].failure = nil
    case .probe(let name, let count): processes[index].probes.count(name, count)
    case .failure(let failure): processes[index].failure = failure
    case .size(let size): processes[index].size = size
    case .done(var report):
      report.probes = processes[index].probes
      report.failure = processes[index].failure
      report.size = processes[index].size
      processes[index].running = nil
      outcomes.reports.append(report)
    }
  }

  private mutating func end(_ index: Int) {
    let process = processes.remove(at: index)
    close(process.output)
    var status: Int32 = 0
    while waitpid(process.identifier, &status, 0) < 0, errno == EINTR {}
    if isStopping {
      // What it was at is nobody's failure.
    } else if let seed = process.running {
      let signal = status & 0x7F
      outcomes.crashes.append(
        RunOutcomes.Crash(seed: seed, signal: Int(signal), arguments: arguments))
      start(from: process.next)
    } else if status != 0, process.next <= range.last {
      outcomes.crashes.append(
        RunOutcomes.Crash(seed: process.next, signal: 0, arguments: arguments))
    }
  }
}

/// What came of a range of seeds.
struct RunOutcomes {
  struct Crash {
    var seed: UInt64
    var signal: Int
    var arguments: [String]
  }

  var reports: [RunReport] = []
  var crashes: [Crash] = []

  /// True when a check failed or a process ended.
  var hasFailure: Bool { !crashes.isEmpty || reports.contains { $0.failure != nil } }
}
