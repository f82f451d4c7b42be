/// An error of the Spine services: a code of their own, and the documented Spine code where one is.
public struct SpineError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of error; stable numbers, 5xxx.
  public struct Code: RawRepresentable, Hashable, Sendable {
    /// The number, as listed in `Docs/Errors.md`.
    public var rawValue: UInt16
    /// The code with this number.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// A value in the store cannot be read.
    public static let corruptValue = Code(rawValue: 5001)
    /// Too many lost races for one key; retry.
    public static let contention = Code(rawValue: 5002)
    /// The store did not answer in time: send the identical message again.
    public static let outcomeUnknown = Code(rawValue: 5003)
    /// The store refused the operation.
    public static let storeRefused = Code(rawValue: 5004)
    /// The message was understood and refused by a documented rule; see ``SpineError/spine``.
    public static let rejected = Code(rawValue: 5005)
    /// A large record's chunk is missing or damaged.
    public static let recordDamaged = Code(rawValue: 5006)
  }

  /// The kind.
  public var code: Code
  /// What happened, with the values concerned.
  public var message: String
  /// The code published for the service, for ``Code/rejected``.
  public var spine: SpineCode?
  /// More for the caller, such as the dispenser who holds a prescription.
  public var detail: [String: String]

  /// An error of the services or their store.
  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
    detail = [:]
  }

  /// A refusal with its published code.
  public init(_ spine: SpineCode, _ message: String = "", detail: [String: String] = [:]) {
    code = .rejected
    self.spine = spine
    self.message = message
    self.detail = detail
  }

  /// What the store failed with.
  public init(_ failure: StoreFailure) {
    switch failure {
    case .conditionFailed: self.init(.contention, "the key changed before it was written")
    case .outcomeUnknown(let text): self.init(.outcomeUnknown, text)
    case .refused(let text): self.init(.storeRefused, text)
    }
  }

  /// The text for people.
  public var description: String {
    let name = spine.map { "\($0)" } ?? "error \(code.rawValue)"
    return message.isEmpty ? name : "\(name): \(message)"
  }
}

/// A published error or outcome code: its number in its domain, its name and its HTTP status.
///
/// **Source**: the EPS and PDS API error tables; numbers of the prescribe and the dispense domain
/// overlap, so the name is what identifies a code.
public struct SpineCode: Hashable, Sendable, CustomStringConvertible {
  /// The number within the domain, empty for PDS codes.
  public var number: String
  /// The published name.
  public var name: String
  /// The HTTP status of the FHIR API.
  public var status: Int

  /// A code.
  public init(_ number: String, _ name: String, status: Int = 400) {
    self.number = number
    self.name = name
    self.status = status
  }

  /// The text for people.
  public var description: String { number.isEmpty ? name : "\(number) \(name)" }
}

extension SpineCode {
  // Prescribe domain.
  static let patientDeceased = SpineCode("0001", "PATIENT_DECEASED")
  static let duplicatePrescription = SpineCode("0002", "DUPLICATE_PRESCRIPTION_ID")
  static let missingSignature = SpineCode("0003", "MISSING_DIGITAL_SIGNATURE")
  static let prescriptionNotFound = SpineCode("0005", "PRESCRIPTION_NOT_FOUND")
  static let invalidPrescriptionID = SpineCode("0007", "INVALID_RESOURCE_ID")
  static let invalidMessage = SpineCode("0009", "INVALID_MESSAGE")
  static let wrongItemCount = SpineCode("0010", "INVALID_NUMBER_MEDICATIONREQUESTS")
  static let invalidStateTransition = SpineCode("0012", "INVALID_PRESCRIPTION_STATE_TRANSITION")
  static let invalidLineTransition = SpineCode("0013", "INVALID_LINE_STATE_TRANSITION")
  static let itemNotFound = SpineCode("0014", "ITEM_NOT_FOUND")
  static let claimNotDispensed = SpineCode("0015", "CLAIM_INVALID_NOT_DISPENSED")
  static let repeatMismatch = SpineCode("0018", "MAX_REPEAT_MISMATCH")
  static let repeatOutOfRange = SpineCode("0019", "REPEAT_COUNT_OUT_OF_RANGE")
  static let versionMismatch = SpineCode("0099", "RESOURCE_VERSION_MISMATCH", status: 409)
  static let unableToProcess = SpineCode("5000", "FAILURE_TO_PROCESS_MESSAGE")
  static let duplicateItem = SpineCode("5008", "DUPLICATE_ITEM_ID")
  static let badCheckDigit = SpineCode("5009", "FAILURE_TO_PROCESS_MESSAGE")
  static let badDate = SpineCode("9006", "INVALID_DATE")

  // Dispense domain.
  static let cancelled = SpineCode("0001", "PRESCRIPTION_CANCELLED")
  static let expired = SpineCode("0002", "PRESCRIPTION_EXPIRED")
  static let releaseNotFound = SpineCode("0003", "RESOURCE_NOT_FOUND", status: 404)
  static let withAnotherDispenser = SpineCode("0004", "PRESCRIPTION_WITH_ANOTHER_DISPENSER")
  static let dispensed = SpineCode("0005", "PRESCRIPTION_DISPENSED")
  /// Nothing waits for the pharmacy: information, not an error.
  public static let noMorePrescriptions = SpineCode("0006", "NO_MORE_PRESCRIPTIONS", status: 200)

  // PDS.
  static let invalidResourceID = SpineCode("", "INVALID_RESOURCE_ID")
  static let missingValue = SpineCode("", "MISSING_VALUE")
  static let invalidValue = SpineCode("", "INVALID_VALUE")
  static let missingField = SpineCode("", "MISSING_FIELD")
  static let invalidUpdate = SpineCode("", "INVALID_UPDATE")
  static let forbiddenUpdate = SpineCode("", "FORBIDDEN_UPDATE", status: 403)
  static let resourceNotFound = SpineCode("", "RESOURCE_NOT_FOUND", status: 404)
  static let invalidatedResource = SpineCode("", "INVALIDATED_RESOURCE", status: 404)
  static let resourceVersionMismatch = SpineCode("", "RESOURCE_VERSION_MISMATCH", status: 409)
  static let preconditionFailed = SpineCode("", "PRECONDITION_FAILED", status: 412)
  static let noConsent = SpineCode("", "ACCESS_DENIED", status: 403)
}
