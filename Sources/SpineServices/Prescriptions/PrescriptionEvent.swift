/// Who does something: the organisation, the person, the role and the system.
public struct Agent: Codable, Hashable, Sendable {
  /// The ODS code of the organisation acted for.
  public var organisation: String
  /// The SDS user, if known.
  public var person: String?
  /// The SDS role profile, if known.
  public var role: String?
  /// The accredited system (ASID), if known.
  public var system: String?

  /// An agent acting for an organisation.
  public init(
    organisation: String, person: String? = nil, role: String? = nil, system: String? = nil
  ) {
    self.organisation = organisation
    self.person = person
    self.role = role
    self.system = system
  }
}

/// One message about one prescription, with all that deciding about it needs.
///
/// Pure data: the time of handling is in it, so that replaying events gives the same record.
public struct PrescriptionEvent: Codable, Hashable, Sendable {
  /// The identifier of the message; the same message has the same effect once.
  public var messageID: String
  /// When it was handled, `YYYYMMDDHHMMSS`.
  public var time: String
  /// Who sent it.
  public var agent: Agent
  /// The key of the message's document.
  public var documentKey: String
  /// What it asks for.
  public var action: Action

  /// A message to a prescription.
  public init(
    messageID: MessageID, time: SpineTime, agent: Agent, documentKey: String, action: Action
  ) {
    self.messageID = messageID.text
    self.time = time.text
    self.agent = agent
    self.documentKey = documentKey
    self.action = action
  }

  /// What a message asks for.
  public enum Action: Codable, Hashable, Sendable {
    /// A signed prescription.
    case upload(PrescriptionOrder)
    /// A dispenser takes it: by nomination, or because the patient gave the identifier.
    case release(basis: ReleaseBasis)
    /// The dispenser gives it back.
    case giveBack(reason: String)
    /// Items were dispensed, or not.
    case dispense(DispenseNotification)
    /// The dispenser claims payment for an issue (nil: the one last dispensed).
    case claim(claimID: String, issue: Int?)
    /// The prescriber cancels all of it or one item.
    case cancel(CancelInstruction)
    /// The day has come on which it can be released.
    case becomeReady
    /// The day has come on which it expires.
    case expire
  }

  /// Why a dispenser may take a prescription.
  public enum ReleaseBasis: String, Codable, Hashable, Sendable {
    /// The patient nominated the dispenser.
    case nominated
    /// The dispenser holds the identifier.
    case identifier
  }

  /// The HL7 interaction the change log names.
  var interactionID: String {
    switch action {
    case .upload: "PORX_IN020101UK31"
    case .release(.nominated): "PORX_IN060102UK30"
    case .release(.identifier): "PORX_IN132004UK30"
    case .giveBack: "PORX_IN100101UK31"
    case .dispense: "PORX_IN080101UK31"
    case .claim: "PORX_IN090101UK31"
    case .cancel: "PORX_IN030101UK32"
    case .becomeReady, .expire: "PORX_IN999002UK01"
    }
  }
}

/// A prescription as signed, reduced to what the service decides upon.
public struct PrescriptionOrder: Codable, Hashable, Sendable {
  /// The identifier with its check character.
  public var prescriptionID: String
  /// Such as `0101`.
  public var prescriptionType: String
  /// The kind of treatment.
  public var treatment: Treatment
  /// When the prescription starts, `YYYYMMDDHHMMSS`.
  public var time: String
  /// When it was signed.
  public var signedTime: String
  /// The prescriber's organisation.
  public var organisation: String
  /// The number of issues; 1 unless repeat dispensing.
  public var issueCount: Int
  /// Days that one issue lasts.
  public var daysSupply: Int
  /// The patient.
  public var patient: Patient
  /// The nominated dispenser, if any.
  public var performer: String?
  /// `P1`, `P2`, `P3`, or the code for none.
  public var performerType: String?
  /// One to four items.
  public var lines: [Line]

  /// Kinds of treatment; raw values are the published codes.
  public enum Treatment: String, Codable, Hashable, Sendable {
    case acute = "0001"
    case repeatPrescribing = "0002"
    case repeatDispensing = "0003"
  }

  /// The patient of an order.
  public struct Patient: Codable, Hashable, Sendable {
    /// The patient's NHS number.
    public var nhsNumber: String
    /// `YYYYMMDD`.
    public var birthDate: String?
    /// The family name.
    public var family: String?
    /// The given names.
    public var given: String?
    /// The title.
    public var prefix: String?
  }

  /// One item of an order.
  public struct Line: Codable, Hashable, Sendable {
    /// The item's identifier.
    public var id: String
    /// How often it may be dispensed, when the prescription repeats.
    public var maxRepeats: Int?
  }

  /// How many items a prescription may have.
  public static let lineLimit = 4
}

/// What a dispenser reports about the items of an issue.
public struct DispenseNotification: Codable, Hashable, Sendable {
  /// The new status of every item of the issue.
  public var lines: [Line]
  /// The number of issues the dispenser read on the prescription, if it repeats.
  public var issueCount: Int?

  /// The status of an item.
  public struct Line: Codable, Hashable, Sendable {
    /// The item's identifier.
    public var id: String
    /// Its new status.
    public var status: LineStatus

    /// An item and its new status.
    public init(id: String, status: LineStatus) {
      self.id = id
      self.status = status
    }
  }

  /// A report on items.
  public init(lines: [Line], issueCount: Int? = nil) {
    self.lines = lines
    self.issueCount = issueCount
  }
}

/// What a prescriber asks to cancel.
public struct CancelInstruction: Codable, Hashable, Sendable {
  /// The prescription, for the placeholder when it has not come yet.
  public var prescriptionID: String
  /// The patient; must be the prescription's.
  public var nhsNumber: String
  /// One item, or nil for the whole prescription.
  public var lineID: String?
  /// Why: `0001` prescribing error to `0009` deducted.
  public var reason: String

  /// Asks to cancel a prescription, or one item of it.
  public init(prescriptionID: String, nhsNumber: String, lineID: String? = nil, reason: String) {
    self.prescriptionID = prescriptionID
    self.nhsNumber = nhsNumber
    self.lineID = lineID
    self.reason = reason
  }
}

/// A cancellation as the record keeps it.
public struct CancellationRequest: Codable, Hashable, Sendable {
  /// The message.
  @OrFalse public var cancellationID: String?
  /// The organisation that asked.
  @OrFalse public var agentOrganization: String?
  /// `Prescription` or `LineItem`.
  public var cancellationTarget: String
  /// When it was asked.
  @OrFalse public var cancellationTime: String?
  /// The message's document.
  @OrFalse public var cancellationMsgRef: String?
  /// The item, for one.
  @OrFalse public var cancelLineItemRef: String?
  /// The patient's NHS number.
  @OrFalse public var nhsNumber: String?
  /// Why.
  public var reasons: [String]

  enum CodingKeys: String, CodingKey {
    case cancellationID, agentOrganization, cancellationTarget, cancellationTime, cancellationMsgRef
    case cancelLineItemRef, nhsNumber
    case reasons = "Reasons"
  }

  init(_ instruction: CancelInstruction, event: PrescriptionEvent) {
    cancellationID = event.messageID
    agentOrganization = event.agent.organisation
    cancellationTarget = instruction.lineID == nil ? "Prescription" : "LineItem"
    cancellationTime = event.time
    cancellationMsgRef = event.documentKey
    cancelLineItemRef = instruction.lineID
    nhsNumber = instruction.nhsNumber
    reasons = [instruction.reason]
  }

  /// True for a cancellation of the same prescription or item.
  func hasTarget(of other: CancellationRequest) -> Bool {
    cancellationTarget == other.cancellationTarget && cancelLineItemRef == other.cancelLineItemRef
  }
}

/// The reply to a message: parameters that are stored, and given again to the same message.
public struct PrescriptionReply: Hashable, Sendable {
  /// The reply's parameters.
  public var parameters: [String: String]
  /// True when the message had been handled before.
  public var isReplay: Bool

  /// The human-readable outcome.
  public var text: String { parameters["responseText"] ?? "" }

  /// The outcome of a cancellation (`R-0001` …), nil for other messages.
  public var cancellationCode: String? { parameters["cancellationResponseCode"] }
}
