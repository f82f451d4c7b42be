import Foundation

/// The Spine services on one store: prescriptions, demographics and records.
///
/// **Concurrency**: holds no state of its own; any number of tasks may call it at once.
public struct Spine: Sendable {
  let store: any BucketStore
  /// Tells the time of handling.
  let clock: @Sendable () -> SpineTime
  /// Where reads and changes are noted.
  public let audit: AuditTrail

  /// The services on `store`.
  ///
  /// - Parameters:
  ///   - store: Where everything is kept.
  ///   - audits: Whether reads of patients and summaries write audit events.
  ///   - clock: The time of handling; tests give their own.
  public init(
    store: any BucketStore, audits: Bool = true,
    clock: @escaping @Sendable () -> SpineTime = { .now }
  ) {
    self.store = store
    self.clock = clock
    audit = AuditTrail(store: store, isOn: audits, clock: clock)
  }

  /// Sets the properties of every bucket; to be done once per cluster, and harmless again.
  public func prepare() async throws(SpineError) {
    for (name, settings) in SpineBuckets.all {
      do { try await store.configure(name, settings: settings) } catch { throw SpineError(error) }
    }
  }

  /// The prescription service.
  public var prescriptions: PrescriptionService { PrescriptionService(store: store, clock: clock) }

  /// The demographics service.
  public var patients: PatientService { PatientService(store: store, clock: clock, audit: audit) }

  /// The records service.
  public var records: RecordService { RecordService(store: store, clock: clock, audit: audit) }
}
