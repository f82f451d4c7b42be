/// A patient as returned: the visible resource and its version (the ETag).
public struct PatientView: Hashable, Sendable {
  /// The NHS number the record is held under; not the one asked for if that was superseded.
  public var nhsNumber: String
  /// The version, `W/"n"` as an ETag.
  public var version: Int
  /// The resource, stripped of what the reader may not see.
  public var resource: JSONValue
}

/// The demographics service: read by NHS number, update with a version check, create and load.
public struct PatientService: Sendable {
  let patients: BucketHandle<PatientRecord>
  let history: BucketHandle<PatientVersion>
  let superseded: BucketHandle<Supersession>
  let clock: @Sendable () -> SpineTime
  let audit: AuditTrail

  /// How far a chain of superseded numbers is followed.
  private static let hopLimit = 5

  init(store: any BucketStore, clock: @escaping @Sendable () -> SpineTime, audit: AuditTrail) {
    patients = BucketHandle(SpineBuckets.patients, on: store)
    history = BucketHandle(SpineBuckets.patientHistory, on: store)
    superseded = BucketHandle(SpineBuckets.superseded, on: store)
    self.clock = clock
    self.audit = audit
  }

  /// The patient with an NHS number, or with the number that superseded it.
  public func patient(
    _ number: String, by agent: Agent, request: MessageID
  ) async throws(SpineError) -> PatientView {
    let record = try await locate(try valid(number))
    try await audit.note(
      "read", "Patient", key: record.nhsNumber, patient: record.nhsNumber, by: agent,
      request: request, versions: [record.version])
    return view(record)
  }

  /// Applies a JSON Patch if the record still has the version of `ifMatch` (`W/"2"`).
  ///
  /// The checks come in the published order. A request sent again gets the result it had.
  public func update(
    _ number: String, _ patches: [PatchOperation], ifMatch: String?, requestID: String?,
    by agent: Agent, authority: Authority = .hospital
  ) async throws(SpineError) -> PatientView {
    let nhs = try valid(number)
    guard let ifMatch, let expected = Self.version(inETag: ifMatch) else {
      throw SpineError(
        .preconditionFailed, "If-Match header must be supplied to update this resource")
    }
    guard let requestID else { throw SpineError(.missingValue, "Missing value - 'X-Request-ID'") }
    guard let request = MessageID(requestID) else {
      throw SpineError(.invalidValue, "Invalid value - '\(requestID)' in header 'X-Request-ID'")
    }
    let time = clock()
    let change = Change(
      patches: patches, expected: expected, request: request, time: time, agent: agent,
      authority: authority)
    let outcome = try await patients.update(
      nhs.digits,
      beforeWrite: { (record, _) throws(SpineError) in try await remember(record, request) },
      change: { (record) throws(SpineError) in try Self.decide(change, record) })
    try await audit.note(
      "update", "Patient", key: nhs.digits, patient: nhs.digits, by: agent, request: request,
      versions: [expected, outcome])
    return try await view(nhs, version: outcome)
  }

  /// Creates a record, or loads one with its version; false when there is one already.
  @discardableResult
  public func create(_ resource: JSONValue) async throws(SpineError) -> Bool {
    let nhs = try valid(resource["id"]?.string ?? "")
    let record = PatientRecord(resource: resource, time: clock())
    return try await patients.put(record, at: nhs.digits, if: .absent)
  }

  /// Marks a number as replaced by another and invalidates its record: a back-office act.
  public func supersede(
    _ old: String, by new: String, agent: Agent, request: MessageID
  ) async throws(SpineError) {
    let (source, target) = (try valid(old), try valid(new))
    try await superseded.putOnce(Supersession(target: target.digits), at: source.digits)
    try await setSecurity(source.digits, .invalidated, agent: agent, request: request)
  }

  /// Sets how confidential a record is: a back-office act.
  public func setSecurity(
    _ number: String, _ security: Confidentiality, agent: Agent, request: MessageID
  ) async throws(SpineError) {
    let nhs = try valid(number)
    let time = clock()
    try await patients.update(
      nhs.digits,
      beforeWrite: { (record, _) throws(SpineError) in try await remember(record, request) },
      change: { (current) throws(SpineError) in
        guard var record = current else { throw SpineError(.resourceNotFound, nhs.digits) }
        guard record.changeLog[request.text] == nil else { return .keep(()) }
        if record.resource["meta"] == nil { record.resource["meta"] = .object([:]) }
        record.resource["meta"]?["security"] = [["code": .string(security.rawValue)]]
        record.note(["meta"], request: request, time: time, agent: agent, authority: .backOffice)
        return .write(record, ())
      })
  }
}

/// Whose word counts more when two changes meet.
public enum Authority: Int, Sendable {
  case patient = 1
  case hospital = 2
  case practice = 3
  case backOffice = 4
}

extension PatientService {
  private struct Change: Sendable {
    var patches: [PatchOperation]
    var expected: Int
    var request: MessageID
    var time: SpineTime
    var agent: Agent
    var authority: Authority
  }

  /// The version the request made, or has made before.
  private static func decide(
    _ change: Change, _ current: PatientRecord?
  ) throws(SpineError) -> BucketHandle<PatientRecord>.Change<Int> {
    guard var record = current else { throw SpineError(.resourceNotFound, "no such patient") }
    if let done = record.changeLog[change.request.text] { return .keep(done.version) }
    guard !change.patches.isEmpty else {
      throw SpineError(.invalidUpdate, "Invalid update with error - No patches found")
    }
    guard record.version == change.expected else {
      throw SpineError(
        .resourceVersionMismatch,
        "the resource is at version \(record.version), not \(change.expected)")
    }
    guard record.security == .unrestricted else {
      throw SpineError(.forbiddenUpdate, "the patient's record is restricted")
    }
    let today =
      "\(change.time.text.prefix(4))-\(change.time.text.dropFirst(4).prefix(2))-"
      + change.time.text.dropFirst(6).prefix(2)
    let after = try PatientUpdate(
      before: record.resource, patches: change.patches, today: today
    ).applied()
    let (old, new) = (record.resource.mergeFields(), after.mergeFields())
    let fields = Set(old.keys).union(new.keys).filter { old[$0] != new[$0] }.sorted()
    record.resource = after
    record.note(
      fields, request: change.request, time: change.time, agent: change.agent,
      authority: change.authority)
    return .write(record, record.version)
  }

  private func remember(_ record: PatientRecord, _ request: MessageID) async throws(SpineError) {
    let version = PatientVersion(
      version: record.version, time: record.time, requestID: request.text,
      resource: record.resource)
    let key = PatientVersion.key(record.nhsNumber, record.version)
    guard try await !history.putOnce(version, at: key) else { return }
    // Another attempt at this version was written and then lost the race for the record.
    let current = try await history.fetch(key)
    guard current?.value != version else { return }
    _ = try await history.put(version, at: key, context: current?.context)
  }

  private func valid(_ number: String) throws(SpineError) -> NHSNumber {
    guard let nhs = NHSNumber(number) else {
      throw SpineError(.invalidResourceID, "'\(number)' is no NHS number")
    }
    return nhs
  }

  private func locate(_ nhs: NHSNumber) async throws(SpineError) -> PatientRecord {
    var number = nhs.digits
    for _ in 0...Self.hopLimit {
      let record = try await patients.fetch(number)?.value
      if let record, record.security != .invalidated { return record }
      guard let target = try await superseded.fetch(number)?.value.target else {
        throw record == nil
          ? SpineError(.resourceNotFound, "no patient \(number)")
          : SpineError(.invalidatedResource, "\(number) is invalidated")
      }
      number = target
    }
    throw SpineError(.resourceNotFound, "\(nhs) is superseded in a circle")
  }

  private func view(_ record: PatientRecord) -> PatientView {
    PatientView(nhsNumber: record.nhsNumber, version: record.version, resource: record.visible)
  }

  /// The patient as it was at a version: a request sent again gets what it got.
  private func view(_ nhs: NHSNumber, version: Int) async throws(SpineError) -> PatientView {
    guard let record = try await patients.fetch(nhs.digits)?.value else {
      throw SpineError(.resourceNotFound, nhs.digits)
    }
    guard record.version != version else { return view(record) }
    let kept = try await history.fetch(PatientVersion.key(nhs.digits, version))
    guard var resource = kept?.value.resource else { return view(record) }
    if resource["meta"] == nil { resource["meta"] = .object([:]) }
    resource["meta"]?["versionId"] = .string(String(version))
    return PatientView(nhsNumber: nhs.digits, version: version, resource: resource)
  }

  /// The number in `W/"n"`.
  static func version(inETag tag: String) -> Int? {
    guard tag.hasPrefix("W/\""), tag.hasSuffix("\""), tag.count > 4 else { return nil }
    return Int(tag.dropFirst(3).dropLast())
  }
}

extension PatientRecord {
  /// Enters a change into the log and stamps the fields it touched.
  mutating func note(
    _ fields: [String], request: MessageID, time: SpineTime, agent: Agent, authority: Authority
  ) {
    let number = version + 1
    let stamp = FieldStamp(
      version: number, authority: authority.rawValue, time: time.text, requestID: request.text)
    for field in fields { stamps[field] = stamp }
    changeLog[request.text] = PatientChange(
      version: number, time: time.text, agent: agent, fields: fields)
    self.time = max(self.time, time.text)
    while changeLog.count > Self.logLimit,
      let oldest = changeLog.min(by: { ($0.value.version, $0.key) < ($1.value.version, $1.key) })
    {
      changeLog[oldest.key] = nil
      prunedCount += 1
    }
  }
}
