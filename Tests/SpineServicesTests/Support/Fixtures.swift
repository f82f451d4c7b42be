import Foundation
import KVBase
import Synchronization

@testable import SpineServices

/// The shared sample data beside the package.
enum SharedData {
  static let root: URL = {
    var url = URL(fileURLWithPath: #filePath)
    for _ in 0..<4 { url.deleteLastPathComponent() }
    return url.appendingPathComponent("../shared/data").standardizedFileURL
  }()

  static var isPresent: Bool { FileManager.default.fileExists(atPath: root.path) }

  static func bytes(_ path: String) throws -> Bytes {
    Bytes(try Data(contentsOf: root.appendingPathComponent(path)))
  }

  /// The JSON files under a folder, by path relative to it.
  static func files(under folder: String) -> [String] {
    let base = root.appendingPathComponent(folder)
    let walk = FileManager.default.enumerator(atPath: base.path)
    return (walk?.compactMap { $0 as? String } ?? []).filter { $0.hasSuffix(".json") }.sorted()
  }
}

/// A clock that tests set.
final class TestClock: Sendable {
  private let seconds: Mutex<Int>

  init(_ text: String = "20260301120000") {
    seconds = Mutex(SpineTime(text)?.secondsSinceEpoch ?? 0)
  }

  var now: SpineTime { SpineTime(secondsSinceEpoch: seconds.withLock { $0 }) }

  func advance(days: Int = 0, seconds more: Int = 0) {
    seconds.withLock { $0 += days * 86_400 + more }
  }
}

enum Fixtures {
  static let pharmacy = Agent(organisation: "FCG71")
  static let otherPharmacy = Agent(organisation: "FH542")
  static let prescriber = Agent(organisation: "A83008")

  static func prescriptionID(_ number: Int) -> String {
    let hex = String(number, radix: 16, uppercase: true)
    let body =
      "ABC\(String(repeating: "0", count: 3))-A83008-"
      + String(repeating: "0", count: 5 - hex.count) + hex
    return body + String(PrescriptionID.checkCharacter(of: body) ?? "?")
  }

  static func order(
    _ number: Int = 1, treatment: PrescriptionOrder.Treatment = .acute, issues: Int = 1,
    lines: Int = 2, performer: String? = "FCG71", time: String = "20260301090000"
  ) -> PrescriptionOrder {
    PrescriptionOrder(
      prescriptionID: prescriptionID(number), prescriptionType: "0101", treatment: treatment,
      time: time, signedTime: time, organisation: "A83008", issueCount: issues, daysSupply: 28,
      patient: .init(nhsNumber: "9000000009", birthDate: "19800420", family: "SMITH"),
      performer: performer, performerType: "P1",
      lines: (0..<lines).map {
        .init(id: lineID(number, $0), maxRepeats: treatment == .repeatDispensing ? issues : nil)
      })
  }

  static func lineID(_ number: Int, _ index: Int) -> String {
    MessageID(derivedFrom: "line", "\(number)", "\(index)").text
  }

  static func message(_ name: String) -> MessageID { MessageID(derivedFrom: "test", name) }

  static func event(
    _ name: String, _ action: PrescriptionEvent.Action, by agent: Agent = pharmacy,
    at time: String = "20260301120000"
  ) -> PrescriptionEvent {
    PrescriptionEvent(
      messageID: message(name), time: SpineTime(time) ?? .now, agent: agent,
      documentKey: message(name).text, action: action)
  }

  static func envelope(_ name: String, by agent: Agent = pharmacy) -> Envelope {
    Envelope(messageID: message(name), agent: agent, body: Bytes("<\(name)>".utf8))
  }

  /// A notification that gives the items of an order these statuses, the last repeated.
  static func notification(_ order: PrescriptionOrder, _ statuses: LineStatus...)
    -> DispenseNotification
  {
    DispenseNotification(
      lines: order.lines.enumerated().map { index, line in
        .init(id: line.id, status: statuses[min(index, statuses.count - 1)])
      })
  }
}

/// Runs events through the machine, keeping the record.
struct Runner {
  var record: PrescriptionRecord?

  @discardableResult
  mutating func run(_ event: PrescriptionEvent) throws(SpineError) -> PrescriptionReply {
    let transition = try PrescriptionMachine.apply(event, to: record)
    record = transition.record ?? record
    return transition.reply
  }

  var status: IssueStatus? { record?.status }

  func lines(_ issue: Int = 1) -> [LineStatus] {
    record?[issue: issue].lineItems.map(\.status) ?? []
  }
}

/// The published code a call is refused with, or nil.
func code(_ body: () async throws -> Void) async -> SpineCode? {
  do {
    try await body()
    return nil
  } catch let error as SpineError {
    return error.spine
  } catch {
    return nil
  }
}

func codeOf(_ body: () throws -> Void) -> SpineCode? {
  do {
    try body()
    return nil
  } catch {
    return (error as? SpineError)?.spine
  }
}
