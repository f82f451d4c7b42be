import KVBase
import Testing

@testable import SpineServices

@Suite struct PatientTests {
  let store = MemoryBucketStore()
  let clock = TestClock()
  let spine: Spine
  let agent = Agent(organisation: "A83008", person: "555086689106")

  init() {
    let clock = clock
    spine = Spine(store: store, clock: { clock.now })
  }

  private static let jane: JSONValue = [
    "resourceType": "Patient", "id": "9000000009",
    "meta": ["versionId": "2", "security": [["code": "U"]]],
    "name": [
      ["id": "123", "use": "usual", "given": ["Jane"], "family": "Smith", "prefix": ["Mrs"]]
    ],
    "gender": "female", "birthDate": "2010-10-22",
    "address": [
      ["id": "456", "use": "home", "line": ["1 Trevelyan Square"], "postalCode": "LS1 6AE"]
    ],
    "telecom": [["id": "789", "system": "phone", "use": "home", "value": "01632960587"]],
    "generalPractitioner": [["id": "G", "identifier": ["value": "Y12345"]]],
  ]

  private func update(
    _ patches: [PatchOperation], version: String? = "W/\"2\"", request: String? = nil,
    number: String = "9000000009"
  ) async throws -> PatientView {
    try await spine.patients.update(
      number, patches, ifMatch: version,
      requestID: request ?? MessageID(derivedFrom: "request", "\(patches)", version ?? "").text,
      by: agent)
  }

  private static let rename = [
    PatchOperation(op: "replace", path: "/name/0/id", value: "123"),
    PatchOperation(op: "replace", path: "/name/0/family", value: "Jones"),
  ]

  @Test func `a patient is read with its version`() async throws {
    try await spine.patients.create(Self.jane)
    let view = try await spine.patients.patient(
      "900 000 0009", by: agent, request: Fixtures.message("r"))
    #expect(view.version == 2)
    #expect(view.resource["name"]?[0]?["family"]?.string == "Smith")
    #expect(try await store.keys(in: SpineBuckets.audit.name).count == 1)
  }

  @Test func `an update moves the version on and keeps the history`() async throws {
    try await spine.patients.create(Self.jane)
    let view = try await update(Self.rename)
    #expect(view.version == 3)
    #expect(view.resource["name"]?[0]?["family"]?.string == "Jones")
    #expect(view.resource["meta"]?["versionId"]?.string == "3")
    let history = try await store.keys(in: SpineBuckets.patientHistory.name)
    #expect(history == ["9000000009#00000003"])
  }

  @Test func `two updates of one version: one is done, one conflicts`() async throws {
    try await spine.patients.create(Self.jane)
    _ = try await update(Self.rename)
    let other = [PatchOperation(op: "replace", path: "/gender", value: "male")]
    #expect(await code { _ = try await update(other) } == .resourceVersionMismatch)
  }

  @Test func `a request sent again gets what it got, though the record has moved on`() async throws
  {
    try await spine.patients.create(Self.jane)
    let request = Fixtures.message("same").text
    let first = try await update(Self.rename, request: request)
    _ = try await update(
      [PatchOperation(op: "replace", path: "/gender", value: "male")], version: "W/\"3\"")
    let again = try await update(Self.rename, request: request)
    #expect(again == first)
    #expect(
      try await spine.patients.patient("9000000009", by: agent, request: Fixtures.message("r"))
        .version == 4)
  }

  @Test func `the checks come in the published order`() async throws {
    #expect(
      await code { _ = try await update([], version: nil, number: "9000000000") }
        == .invalidResourceID)
    #expect(await code { _ = try await update([], version: nil) } == .preconditionFailed)
    #expect(await code { _ = try await update([], version: "2") } == .preconditionFailed)
    #expect(await code { _ = try await update([], request: "x") } == .invalidValue)
    #expect(await code { _ = try await update([]) } == .resourceNotFound)
    try await spine.patients.create(Self.jane)
    #expect(await code { _ = try await update([], version: "W/\"1\"") } == .invalidUpdate)
    #expect(
      await code { _ = try await update([PatchOperation(op: "x", path: "/y")], version: "W/\"1\"") }
        == .resourceVersionMismatch)
    #expect(
      await code { _ = try await update([PatchOperation(op: "move", path: "/gender")]) }
        == .invalidValue)
  }

  @Test(arguments: [
    ([PatchOperation(op: "remove", path: "/gender")], "FORBIDDEN_UPDATE"),
    ([PatchOperation(op: "replace", path: "/gender", value: "other")], "INVALID_VALUE"),
    ([PatchOperation(op: "replace", path: "/name/0/family", value: "Jones")], "INVALID_UPDATE"),
    ([PatchOperation(op: "add", path: "/name/0", value: ["use": "old"])], "INVALID_UPDATE"),
    ([PatchOperation(op: "remove", path: "/address/0")], "INVALID_UPDATE"),
    (
      [
        PatchOperation(op: "test", path: "/name/0/id", value: "123"),
        PatchOperation(op: "remove", path: "/name/0"),
      ], "FORBIDDEN_UPDATE"
    ),
    (
      [
        PatchOperation(op: "test", path: "/name/0/id", value: "999"),
        PatchOperation(op: "remove", path: "/name/0"),
      ], "INVALID_UPDATE"
    ),
    ([PatchOperation(op: "replace", path: "/id", value: "1")], "FORBIDDEN_UPDATE"),
    (
      [PatchOperation(op: "add", path: "/deceasedDateTime", value: "2020-10-22T00:00:00+00:00")],
      "INVALID_UPDATE"
    ),
    (
      [PatchOperation(op: "add", path: "/name/-", value: ["use": "usual", "family": "X"])],
      "INVALID_UPDATE"
    ),
    ([PatchOperation(op: "add", path: "/address/-", value: ["use": "home"])], "INVALID_UPDATE"),
    ([PatchOperation(op: "add", path: "/address/-", value: ["use": "temp"])], "INVALID_UPDATE"),
    (
      [
        PatchOperation(
          op: "add", path: "/telecom/-", value: ["system": "phone", "use": "home", "value": "1"])
      ], "INVALID_UPDATE"
    ),
    (
      [
        PatchOperation(
          op: "add", path: "/telecom/-", value: ["system": "email", "use": "home", "value": "x@y"])
      ], "INVALID_VALUE"
    ),
    ([PatchOperation(op: "replace", path: "/birthDate", value: "2099-01-01")], "INVALID_UPDATE"),
    ([PatchOperation(op: "replace", path: "/birthDate", value: "2010-02-30")], "INVALID_VALUE"),
    (
      [
        PatchOperation(
          op: "add", path: "/name/-",
          value: [
            "use": "old", "family": "X", "period": ["start": "2020-01-02", "end": "2020-01-01"],
          ])
      ], "INVALID_UPDATE"
    ),
  ])
  func `updates that break a rule change nothing`(patches: [PatchOperation], name: String)
    async throws
  {
    try await spine.patients.create(Self.jane)
    #expect(await code { _ = try await update(patches) }?.name == name)
    #expect(
      try await spine.patients.patient("9000000009", by: agent, request: Fixtures.message("r"))
        .version == 2)
  }

  @Test func `a new item gets an id and starts today`() async throws {
    try await spine.patients.create(Self.jane)
    let view = try await update([
      PatchOperation(op: "add", path: "/name/-", value: ["use": "nickname", "given": ["Janey"]])
    ])
    let added = try #require(
      view.resource["name"]?.elements.first { $0["use"]?.string == "nickname" })
    #expect(added["id"]?.string?.isEmpty == false)
    #expect(added["period"]?["start"]?.string == "2026-03-01")
  }

  @Test func `a removal after its test takes the item away`() async throws {
    var jane = Self.jane
    jane["name"] = .array(
      (jane["name"]?.elements ?? []) + [["id": "124", "use": "old", "family": "Before"]])
    try await spine.patients.create(jane)
    let view = try await update([
      PatchOperation(op: "test", path: "/name/1/id", value: "124"),
      PatchOperation(op: "remove", path: "/name/1"),
    ])
    #expect(view.resource["name"]?.elements.count == 1)
  }

  @Test func `a restricted record is stripped, cannot be updated and betrays no place`()
    async throws
  {
    try await spine.patients.create(Self.jane)
    try await spine.patients.setSecurity(
      "9000000009", .restricted, agent: agent, request: Fixtures.message("s"))
    let view = try await spine.patients.patient(
      "9000000009", by: agent, request: Fixtures.message("r"))
    #expect(view.resource["address"] == nil)
    #expect(view.resource["telecom"] == nil)
    #expect(view.resource["generalPractitioner"] == nil)
    #expect(view.resource["name"] != nil)
    #expect(
      await code { _ = try await update(Self.rename, version: "W/\"3\"") } == .forbiddenUpdate)
    let terms =
      try await store.fetch("9000000009", in: SpineBuckets.patients.name)?.values.first?.indexes
      ?? []
    #expect(!terms.contains { $0.value.contains("LS16AE") || $0.field == "gp_bin" })
  }

  @Test func `a superseded number leads to its successor, an invalidated one to nothing`()
    async throws
  {
    var old = Self.jane
    old["id"] = "9000000017"
    try await spine.patients.create(Self.jane)
    try await spine.patients.create(old)
    try await spine.patients.setSecurity(
      "9000000017", .invalidated, agent: agent, request: Fixtures.message("i"))
    #expect(
      await code {
        _ = try await spine.patients.patient(
          "9000000017", by: agent, request: Fixtures.message("r"))
      } == .invalidatedResource)
    try await spine.patients.supersede(
      "9000000017", by: "9000000009", agent: agent, request: Fixtures.message("s"))
    let view = try await spine.patients.patient(
      "9000000017", by: agent, request: Fixtures.message("r2"))
    #expect(view.nhsNumber == "9000000009")
    #expect(
      await code {
        _ = try await spine.patients.patient(
          "9111231130", by: agent, request: Fixtures.message("r3"))
      } == .resourceNotFound)
  }

  @Test(.enabled(if: SharedData.isPresent))
  func `the published patients load and the published patches apply`() async throws {
    for name in ["Patient", "Minimal_Patient", "Sensitive_Patient"] {
      let resource = try JSONCoding.decode(JSONValue.self, try SharedData.bytes("pds/\(name).json"))
      try await spine.patients.create(resource)
    }
    let compound = try JSONCoding.decode(
      JSONValue.self, try SharedData.bytes("pds/PatientCompoundName.json"))
    let refused = await code { try await spine.patients.create(compound) }
    #expect(refused == (NHSNumber(compound["id"]?.string ?? "") == nil ? .invalidResourceID : nil))
    struct Body: Decodable { var patches: [PatchOperation] }
    var version = 2
    for name in ["add-name", "update-gender", "update-address"] {
      let body = try JSONCoding.decode(Body.self, try SharedData.bytes("pds/\(name).json"))
      version = try await update(body.patches, version: "W/\"\(version)\"").version
    }
    #expect(version == 5)
    let removal = try JSONCoding.decode(Body.self, try SharedData.bytes("pds/delete-gender.json"))
    #expect(
      await code { _ = try await update(removal.patches, version: "W/\"5\"") } == .forbiddenUpdate)
  }

  @Test func `Soundex agrees with the published examples`() {
    for name in ["SMITH", "SMYTHE", "SMYTH"] { #expect(Soundex.code(name) == "S530") }
    #expect(Soundex.code("ASHCRAFT") == "A261")
    #expect(Soundex.code("TYMCZAK") == "T522")
    #expect(PatientRecord.folded("Attisón-O'Hara") == "ATTISONOHARA")
  }

  @Test func `index terms follow the published shapes`() {
    let terms = PatientRecord(resource: Self.jane, time: clock.now).indexTerms
    #expect(terms.contains(IndexTerm("finder_bin", "20101022|SMITH|JANE|F|LS16AE")))
    #expect(terms.contains(IndexTerm("family_bin", "SMITH|20101022|JANE|F|LS16AE")))
    #expect(terms.contains(IndexTerm("phone_bin", "01632960587|C")))
    #expect(terms.contains(IndexTerm("gp_bin", "Y12345|")))
  }

  // MARK: Merge

  private func changed(
    _ record: PatientRecord, _ field: String, _ value: JSONValue, _ name: String,
    authority: Authority = .hospital, at time: String = "20260301120000"
  ) throws -> PatientRecord {
    var record = record
    var fields = record.resource.mergeFields()
    fields[field] = value
    record.resource = JSONValue(mergeFields: fields)
    record.note(
      [field], request: Fixtures.message(name), time: try #require(SpineTime(time)), agent: agent,
      authority: authority)
    return record
  }

  private func base() -> PatientRecord {
    var record = PatientRecord(resource: Self.jane, time: clock.now)
    record.resource = JSONValue(mergeFields: record.resource.mergeFields())
    return record
  }

  @Test func `changes of different fields both stand, of one field the higher authority`() throws {
    let start = base()
    let a = try changed(start, "gender", "male", "a")
    let b = try changed(start, "birthDate", "2010-10-23", "b")
    let both = a.merged(with: b)
    #expect(both == b.merged(with: a))
    #expect(both.resource["gender"]?.string == "male")
    #expect(both.resource["birthDate"]?.string == "2010-10-23")
    #expect(both.version == 4)
    let c = try changed(start, "gender", "unknown", "c", authority: .practice, at: "20260301110000")
    #expect(a.merged(with: c).resource["gender"]?.string == "unknown")
  }

  @Test func `a stale copy gives way, and of two securities the stricter stands`() throws {
    let start = base()
    let a = try changed(start, "gender", "male", "a")
    #expect(start.merged(with: a) == a)
    let r = try changed(start, "meta", ["security": [["code": "R"]]], "r", authority: .patient)
    let u = try changed(start, "meta", ["security": [["code": "U"]]], "u", authority: .backOffice)
    #expect(u.merged(with: r).security == .restricted)
  }

  @Test(arguments: 0..<40) func `the merge is commutative, associative and idempotent`(seed: Int)
    throws
  {
    var random = SeededRandom(seed: UInt64(seed))
    let fields = ["gender", "birthDate", "name#123", "telecom#789", "multipleBirthInteger"]
    var forks: [PatientRecord] = []
    for fork in 0..<3 {
      var record = base()
      for step in 0..<random.below(4) {
        let field = fields[random.below(fields.count)]
        let value: JSONValue =
          field.contains("#")
          ? [
            "id": .string(String(field.suffix(3))), "use": "usual",
            "value": .integer(random.below(5)),
          ] : .integer(random.below(5))
        record = try changed(
          record, field, value, "\(seed) \(fork) \(step)",
          authority: Authority(rawValue: 1 + random.below(4)) ?? .patient,
          at: "2026030112000\(random.below(9))")
      }
      forks.append(record)
    }
    let (a, b, c) = (forks[0], forks[1], forks[2])
    #expect(a.merged(with: b) == b.merged(with: a))
    #expect(a.merged(with: b).merged(with: c) == a.merged(with: b.merged(with: c)))
    #expect(a.merged(with: b).merged(with: b) == a.merged(with: b))
  }
}
