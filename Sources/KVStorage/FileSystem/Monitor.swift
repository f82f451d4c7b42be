import Glibc

/// A lock on which threads can wait for a condition.
///
/// The engine needs it for group commit and write stalls; the simulator runs the engine on one
/// thread, where nothing ever waits.
final class Monitor: @unchecked Sendable {
  // The pthread objects are only touched through the pthread calls, which are thread-safe.
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let conditions = UnsafeMutablePointer<pthread_cond_t>.allocate(
    capacity: Condition.count)

  /// What a thread can wait for.
  enum Condition: Int {
    /// Something that stood in the way is done.
    case progress = 0
    /// There is work for the maintenance thread.
    case work = 1
    /// A group of writes of even number is durable, or its turn has come.
    case evenGroup = 2
    /// The same for one of odd number.
    case oddGroup = 3

    static let count = 4

    /// The condition of a group of writes.
    static func group(_ number: Int) -> Condition { number & 1 == 0 ? .evenGroup : .oddGroup }
  }

  init() {
    pthread_mutex_init(mutex, nil)
    for index in 0..<Condition.count { pthread_cond_init(conditions + index, nil) }
  }

  deinit {
    for index in 0..<Condition.count { pthread_cond_destroy(conditions + index) }
    pthread_mutex_destroy(mutex)
    conditions.deallocate()
    mutex.deallocate()
  }

  @inline(__always)
  func lock() { pthread_mutex_lock(mutex) }

  @inline(__always)
  func unlock() { pthread_mutex_unlock(mutex) }

  /// Releases the lock until another thread broadcasts, then takes it again; may wake for nothing.
  func wait(for condition: Condition) {
    pthread_cond_wait(conditions + condition.rawValue, mutex)
  }

  /// The same, but for no longer than a time.
  func wait(for condition: Condition, milliseconds: Int) {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    let nanoseconds = Int(time.tv_nsec) + milliseconds * 1_000_000
    time.tv_sec += nanoseconds / 1_000_000_000
    time.tv_nsec = nanoseconds % 1_000_000_000
    pthread_cond_timedwait(conditions + condition.rawValue, mutex, &time)
  }

  /// Wakes every thread that waits for the condition.
  func broadcast(_ condition: Condition) {
    pthread_cond_broadcast(conditions + condition.rawValue)
  }

  /// Wakes one thread that waits for the condition.
  func signal(_ condition: Condition) { pthread_cond_signal(conditions + condition.rawValue) }

  @inline(__always)
  func withLock<Result, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    lock()
    defer { unlock() }
    return try body()
  }
}

/// A thread that runs one closure.
final class PosixThread: @unchecked Sendable {
  // `handle` is written before the initialiser returns and read by `join` only.
  private var handle = pthread_t()

  private final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  init(_ run: @escaping @Sendable () -> Void) throws(StorageError) {
    let context = Unmanaged.passRetained(Body(run))
    let status = pthread_create(
      &handle, nil,
      { context in
        if let context { Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run() }
        return nil
      }, context.toOpaque())
    guard status == 0 else {
      context.release()
      throw StorageError(.inputOutput, "cannot start a thread: error \(status)")
    }
  }

  /// Waits until the closure has returned.
  ///
  /// Call it once.
  func join() { pthread_join(handle, nil) }
}
