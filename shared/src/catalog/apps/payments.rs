//! Subscriptions and financing plans, and what is paid for them.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::catalog::{
    AcademyIn, CatalogEvent, Fires, Required, Row,
    parts::{AcademyOrKey, CohortOrId, UserOrId},
    payload::{Decimal, Free, Id, PayloadType, Time, related, vocabulary},
};

/// The statuses in which a subscription or a financing plan gives no access any more.
const REVOKED: &[&str] = &[
    "DEPRECATED",
    "PAYMENT_ISSUE",
    "ERROR",
    "EXPIRED",
    "CANCELLED",
];

pub(super) const ROWS: &[Row] = &[
    CatalogEvent {
        name: "planfinancing.planfinancing_created",
        model: "payments.PlanFinancing",
        signal: "planfinancing_created",
        action: None,
        description: "Triggered when a new financing plan is created",
        fires: Fires::Created,
        academy: AcademyIn::required(&["academy"]),
        required: &[Required::ID],
        fills: &[],
        payload: PayloadType::of::<PlanFinancing>(),
        example: r#"
{
  "id": 334,
  "status": "ACTIVE",
  "monthly_price": 299.00,
  "plan_expires_at": "2026-01-20T00:00:00Z",
  "valid_until": "2026-01-20T23:59:59Z",
  "next_payment_at": "2025-02-20T00:00:00Z",
  "user": {
    "id": 789,
    "first_name": "Jane",
    "last_name": "Doe",
    "email": "jane.doe@example.com"
  },
  "academy": {
    "id": 4,
    "name": "Downtown Campus",
    "slug": "downtown-campus"
  },
  "selected_cohort": {
    "id": 12,
    "name": "Full Stack Development - Cohort 45",
    "slug": "full-stack-45"
  },
  "plans": [
    {
      "id": 67,
      "slug": "full-stack-financing",
      "name": "Full Stack Development - 12 Month Financing"
    }
  ],
  "created_at": "2025-01-20T15:00:00Z",
  "updated_at": "2025-01-20T15:00:00Z"
}
"#,
    },
    CatalogEvent {
        name: "planfinancing.planfinancing_revoked",
        model: "payments.PlanFinancing",
        signal: "planfinancing_revoked",
        action: None,
        description: "Triggered when a financing plan ends or its payment fails (DEPRECATED, PAYMENT_ISSUE, ERROR, EXPIRED, CANCELLED)",
        fires: Fires::Became("status", REVOKED),
        academy: AcademyIn::required(&["academy"]),
        required: &[Required::ID, Required::Present(&["status"])],
        fills: &[],
        payload: PayloadType::of::<PlanFinancing>(),
        example: r#"
{
  "id": 321,
  "status": "CANCELLED",
  "status_message": "Cancelled at the student's request",
  "user": {
    "id": 789,
    "first_name": "Jane",
    "last_name": "Doe",
    "email": "jane.doe@example.com"
  },
  "academy": {
    "id": 4,
    "name": "Downtown Campus",
    "slug": "downtown-campus"
  },
  "selected_cohort_set": null,
  "selected_mentorship_service_set": null,
  "selected_event_type_set": null,
  "plans": [
    {
      "id": 67,
      "slug": "full-stack-financing",
      "name": "Full Stack Development - 12 Month Financing"
    }
  ],
  "invoices": [
    {
      "id": 1202,
      "amount": 299.00,
      "currency": {
        "code": "USD",
        "name": "US dollar"
      },
      "paid_at": "2024-12-20T00:00:00Z",
      "status": "FULFILLED",
      "invoice_kind": "MAIN",
      "invoice_notes": null,
      "user": {
        "id": 789,
        "first_name": "Jane",
        "last_name": "Doe",
        "email": "jane.doe@example.com"
      },
      "standalone_consumables": [],
      "payment_method": null,
      "created_at": "2024-12-20T00:00:00Z",
      "externally_managed": false,
      "bag": {
        "id": 302,
        "status": "PAID",
        "type": "BAG",
        "is_recurrent": true,
        "was_delivered": true,
        "service_items": [],
        "plans": [
          {
            "id": 67,
            "slug": "full-stack-financing",
            "name": "Full Stack Development - 12 Month Financing"
          }
        ]
      },
      "amount_refunded": 0.00,
      "stripe_id": null,
      "refund_stripe_id": null,
      "refunded_at": null,
      "amount_breakdown": null,
      "credit_notes": [],
      "credit_entries": [],
      "proof": null
    }
  ],
  "next_payment_at": "2025-01-20T00:00:00Z",
  "valid_until": "2025-12-20T23:59:59Z",
  "has_billing_team": false,
  "seats_count": null,
  "seats_limit": null,
  "plan_expires_at": "2025-12-20T00:00:00Z",
  "monthly_price": 299.00,
  "how_many_installments": 12,
  "initial_payment_amount": null,
  "grace_period_duration": 3,
  "grace_period_duration_unit": "DAY",
  "credit_balance": 0.00,
  "remaining_installments": 11,
  "credit_entries": []
}
"#,
    },
    CatalogEvent {
        name: "subscription.subscription_created",
        model: "payments.Subscription",
        signal: "subscription_created",
        action: None,
        description: "Triggered when a new subscription is created",
        fires: Fires::Created,
        academy: AcademyIn::required(&["academy"]),
        required: &[Required::ID],
        fills: &[],
        payload: PayloadType::of::<Subscription>(),
        example: r#"
{
  "id": 445,
  "status": "ACTIVE",
  "paid_at": "2025-01-20T15:00:00Z",
  "valid_until": "2026-01-20T15:00:00Z",
  "is_refundable": true,
  "next_payment_at": "2026-01-20T15:00:00Z",
  "user": {
    "id": 789,
    "first_name": "Jane",
    "last_name": "Doe",
    "email": "jane.doe@example.com"
  },
  "academy": {
    "id": 4,
    "name": "Downtown Campus",
    "slug": "downtown-campus"
  },
  "selected_cohort": {
    "id": 12,
    "name": "Full Stack Development - Cohort 45",
    "slug": "full-stack-45"
  },
  "plans": [
    {
      "id": 67,
      "slug": "full-stack-monthly",
      "name": "Full Stack Development - Monthly"
    }
  ],
  "invoices": [],
  "created_at": "2025-01-20T15:00:00Z",
  "updated_at": "2025-01-20T15:00:00Z"
}
"#,
    },
    CatalogEvent {
        name: "subscription.subscription_revoked",
        model: "payments.Subscription",
        signal: "subscription_revoked",
        action: None,
        description: "Triggered when a subscription ends or its payment fails (DEPRECATED, PAYMENT_ISSUE, ERROR, EXPIRED, CANCELLED)",
        fires: Fires::Became("status", REVOKED),
        academy: AcademyIn::required(&["academy"]),
        required: &[Required::ID, Required::Present(&["status"])],
        fills: &[],
        payload: PayloadType::of::<Subscription>(),
        example: r#"
{
  "id": 412,
  "status": "PAYMENT_ISSUE",
  "status_message": "The payment of 2025-01-20 was declined",
  "user": {
    "id": 789,
    "first_name": "Jane",
    "last_name": "Doe",
    "email": "jane.doe@example.com"
  },
  "academy": {
    "id": 4,
    "name": "Downtown Campus",
    "slug": "downtown-campus"
  },
  "selected_cohort_set": null,
  "selected_mentorship_service_set": null,
  "selected_event_type_set": null,
  "plans": [
    {
      "id": 67,
      "slug": "full-stack-monthly",
      "name": "Full Stack Development - Monthly"
    }
  ],
  "invoices": [
    {
      "id": 1201,
      "amount": 299.00,
      "currency": {
        "code": "USD",
        "name": "US dollar"
      },
      "paid_at": "2024-12-20T15:00:00Z",
      "status": "FULFILLED",
      "invoice_kind": "MAIN",
      "invoice_notes": null,
      "user": {
        "id": 789,
        "first_name": "Jane",
        "last_name": "Doe",
        "email": "jane.doe@example.com"
      },
      "standalone_consumables": [],
      "payment_method": null,
      "created_at": "2024-12-20T15:00:00Z",
      "externally_managed": false,
      "bag": {
        "id": 301,
        "status": "PAID",
        "type": "BAG",
        "is_recurrent": true,
        "was_delivered": true,
        "service_items": [],
        "plans": [
          {
            "id": 67,
            "slug": "full-stack-monthly",
            "name": "Full Stack Development - Monthly"
          }
        ]
      },
      "amount_refunded": 0.00,
      "stripe_id": null,
      "refund_stripe_id": null,
      "refunded_at": null,
      "amount_breakdown": null,
      "credit_notes": [],
      "credit_entries": [],
      "proof": null
    }
  ],
  "next_payment_at": "2025-01-20T15:00:00Z",
  "valid_until": "2025-01-20T15:00:00Z",
  "has_billing_team": false,
  "seats_count": null,
  "seats_limit": null,
  "paid_at": "2024-12-20T15:00:00Z",
  "last_status_change_at": "2025-01-20T15:05:00Z",
  "is_refundable": false,
  "pay_every": 1,
  "pay_every_unit": "MONTH"
}
"#,
    },
];

/// The payload of the events of financing plans: the plan.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct PlanFinancing {
    /// The number of this record.
    pub id: Option<Id>,
    /// How far it is.
    pub status: Option<BillingStatus>,
    /// More on the status.
    pub status_message: Option<String>,
    /// The user who pays.
    pub user: Option<UserOrId>,
    /// The academy.
    pub academy: Option<AcademyOrKey>,
    /// The cohort that it is for.
    pub selected_cohort: Option<CohortOrId>,
    /// The cohorts that it gives a choice of.
    pub selected_cohort_set: Option<Free>,
    /// The mentorship services that it gives a choice of.
    pub selected_mentorship_service_set: Option<Free>,
    /// The kinds of events that it gives a choice of.
    pub selected_event_type_set: Option<Free>,
    /// The plans that it is of.
    pub plans: Option<Vec<PlanOrId>>,
    /// What was paid so far.
    pub invoices: Option<Vec<Invoice>>,
    /// When the next payment is due.
    pub next_payment_at: Option<Time>,
    /// Until when it gives access.
    pub valid_until: Option<Time>,
    /// Whether it is paid for a team.
    pub has_billing_team: Option<bool>,
    /// How many of the team's seats are taken.
    pub seats_count: Option<i64>,
    /// How many seats the team has at most.
    pub seats_limit: Option<i64>,
    /// When the plan expires.
    pub plan_expires_at: Option<Time>,
    /// What is paid each month.
    pub monthly_price: Option<Decimal>,
    /// In how many parts it is paid.
    pub how_many_installments: Option<i64>,
    /// What was paid at first.
    pub initial_payment_amount: Option<Decimal>,
    /// How many units of time a payment may be late.
    pub grace_period_duration: Option<i64>,
    /// That unit, such as `DAY`.
    pub grace_period_duration_unit: Option<String>,
    /// What the user has paid too much.
    pub credit_balance: Option<Decimal>,
    /// How many parts are still to be paid.
    pub remaining_installments: Option<i64>,
    /// What the credit balance is made of.
    pub credit_entries: Option<Vec<Free>>,
    /// When the record was made.
    pub created_at: Option<Time>,
    /// When the record was last saved.
    pub updated_at: Option<Time>,
}

/// The payload of the events of subscriptions: the subscription.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct Subscription {
    /// The number of this record.
    pub id: Option<Id>,
    /// How far it is.
    pub status: Option<BillingStatus>,
    /// More on the status.
    pub status_message: Option<String>,
    /// The user who pays.
    pub user: Option<UserOrId>,
    /// The academy.
    pub academy: Option<AcademyOrKey>,
    /// The cohort that it is for.
    pub selected_cohort: Option<CohortOrId>,
    /// The cohorts that it gives a choice of.
    pub selected_cohort_set: Option<Free>,
    /// The mentorship services that it gives a choice of.
    pub selected_mentorship_service_set: Option<Free>,
    /// The kinds of events that it gives a choice of.
    pub selected_event_type_set: Option<Free>,
    /// The plans that it is of.
    pub plans: Option<Vec<PlanOrId>>,
    /// What was paid so far.
    pub invoices: Option<Vec<Invoice>>,
    /// When the next payment is due.
    pub next_payment_at: Option<Time>,
    /// Until when it gives access.
    pub valid_until: Option<Time>,
    /// Whether it is paid for a team.
    pub has_billing_team: Option<bool>,
    /// How many of the team's seats are taken.
    pub seats_count: Option<i64>,
    /// How many seats the team has at most.
    pub seats_limit: Option<i64>,
    /// When it was last paid.
    pub paid_at: Option<Time>,
    /// When its status last changed.
    pub last_status_change_at: Option<Time>,
    /// Whether it can be refunded.
    pub is_refundable: Option<bool>,
    /// After how many units of time it is paid again.
    pub pay_every: Option<i64>,
    /// That unit, such as `MONTH`.
    pub pay_every_unit: Option<String>,
    /// When the record was made.
    pub created_at: Option<Time>,
    /// When the record was last saved.
    pub updated_at: Option<Time>,
}

/// A plan: what an academy sells.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct Plan {
    /// Its number.
    pub id: Option<Id>,
    /// Its short name.
    pub slug: Option<String>,
    /// Its name.
    pub name: Option<String>,
}

/// A payment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct Invoice {
    /// Its number.
    pub id: Option<Id>,
    /// What was paid.
    pub amount: Option<Decimal>,
    /// The currency of that.
    pub currency: Option<Free>,
    /// When it was paid.
    pub paid_at: Option<Time>,
    /// How far it is, such as `FULFILLED`.
    pub status: Option<String>,
    /// What kind of payment it is, such as `MAIN`.
    pub invoice_kind: Option<String>,
    /// Notes on it.
    pub invoice_notes: Option<String>,
    /// The user who paid.
    pub user: Option<Free>,
    /// What was bought by itself.
    pub standalone_consumables: Option<Vec<Free>>,
    /// How it was paid.
    pub payment_method: Option<Free>,
    /// When the record was made.
    pub created_at: Option<Time>,
    /// Whether it was paid outside of the platform.
    pub externally_managed: Option<bool>,
    /// What was bought.
    pub bag: Option<Free>,
    /// What was paid back.
    pub amount_refunded: Option<Decimal>,
    /// What Stripe calls the payment.
    pub stripe_id: Option<String>,
    /// What Stripe calls paying it back.
    pub refund_stripe_id: Option<String>,
    /// When it was paid back.
    pub refunded_at: Option<Time>,
    /// What the amount is made of.
    pub amount_breakdown: Option<Free>,
    /// The notes on what was paid back.
    pub credit_notes: Option<Vec<Free>>,
    /// What was credited to the user.
    pub credit_entries: Option<Vec<Free>>,
    /// What shows that it was paid.
    pub proof: Option<Free>,
}

related! {
    /// A plan, or its number alone.
    PlanOrId = Id | Plan
}

vocabulary! {
    /// How far a subscription or a financing plan is.
    BillingStatus {
        /// Currently active.
        Active = "ACTIVE",
        /// Cancelled.
        Cancelled = "CANCELLED",
        /// Payment failed.
        PaymentIssue = "PAYMENT_ISSUE",
        /// Expired.
        Expired = "EXPIRED",
        /// No longer offered.
        Deprecated = "DEPRECATED",
        /// Failed.
        Error = "ERROR",
    }
}

#[cfg(test)]
pub(super) mod changes {
    use crate::catalog::tests::ChangeCase;

    pub(in crate::catalog) static CASES: &[ChangeCase] = &[
        ChangeCase {
            what: "a financing plan is made",
            model: "payments.PlanFinancing",
            before: "null",
            after: r#"{"id": 334, "status": "ACTIVE", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            events: &["planfinancing.planfinancing_created"],
        },
        ChangeCase {
            what: "a financing plan is made that has failed already",
            model: "payments.PlanFinancing",
            before: "null",
            after: r#"{"id": 334, "status": "ERROR", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            events: &[
                "planfinancing.planfinancing_created",
                "planfinancing.planfinancing_revoked",
            ],
        },
        ChangeCase {
            what: "a financing plan is cancelled",
            model: "payments.PlanFinancing",
            before: r#"{"id": 334, "status": "ACTIVE", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            after: r#"{"id": 334, "status": "CANCELLED", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            events: &["planfinancing.planfinancing_revoked"],
        },
        ChangeCase {
            what: "a financing plan expires after its payment failed",
            model: "payments.PlanFinancing",
            before: r#"{"id": 334, "status": "PAYMENT_ISSUE", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            after: r#"{"id": 334, "status": "EXPIRED", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            events: &["planfinancing.planfinancing_revoked"],
        },
        ChangeCase {
            what: "a financing plan is no longer offered",
            model: "payments.PlanFinancing",
            before: r#"{"id": 334, "status": "ACTIVE", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            after: r#"{"id": 334, "status": "DEPRECATED", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            events: &["planfinancing.planfinancing_revoked"],
        },
        ChangeCase {
            what: "a financing plan that has expired is saved again",
            model: "payments.PlanFinancing",
            before: r#"{"id": 334, "status": "EXPIRED", "status_message": null, "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            after: r#"{"id": 334, "status": "EXPIRED", "status_message": "Expired", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            events: &[],
        },
        ChangeCase {
            what: "a financing plan is active again",
            model: "payments.PlanFinancing",
            before: r#"{"id": 334, "status": "PAYMENT_ISSUE", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            after: r#"{"id": 334, "status": "ACTIVE", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            events: &[],
        },
        ChangeCase {
            what: "a financing plan is saved again in the same status",
            model: "payments.PlanFinancing",
            before: r#"{"id": 334, "status": "ACTIVE", "status_message": null, "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            after: r#"{"id": 334, "status": "ACTIVE", "status_message": "Paid", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            events: &[],
        },
        ChangeCase {
            what: "a financing plan is deleted",
            model: "payments.PlanFinancing",
            before: r#"{"id": 334, "status": "CANCELLED", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            after: "null",
            events: &[],
        },
        ChangeCase {
            what: "a subscription is made",
            model: "payments.Subscription",
            before: "null",
            after: r#"{"id": 334, "status": "ACTIVE", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            events: &["subscription.subscription_created"],
        },
        ChangeCase {
            what: "a subscription is made that has failed already",
            model: "payments.Subscription",
            before: "null",
            after: r#"{"id": 334, "status": "ERROR", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            events: &[
                "subscription.subscription_created",
                "subscription.subscription_revoked",
            ],
        },
        ChangeCase {
            what: "a subscription is cancelled",
            model: "payments.Subscription",
            before: r#"{"id": 334, "status": "ACTIVE", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            after: r#"{"id": 334, "status": "CANCELLED", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            events: &["subscription.subscription_revoked"],
        },
        ChangeCase {
            what: "a subscription expires after its payment failed",
            model: "payments.Subscription",
            before: r#"{"id": 334, "status": "PAYMENT_ISSUE", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            after: r#"{"id": 334, "status": "EXPIRED", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            events: &["subscription.subscription_revoked"],
        },
        ChangeCase {
            what: "a subscription is no longer offered",
            model: "payments.Subscription",
            before: r#"{"id": 334, "status": "ACTIVE", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            after: r#"{"id": 334, "status": "DEPRECATED", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            events: &["subscription.subscription_revoked"],
        },
        ChangeCase {
            what: "a subscription that has expired is saved again",
            model: "payments.Subscription",
            before: r#"{"id": 334, "status": "EXPIRED", "status_message": null, "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            after: r#"{"id": 334, "status": "EXPIRED", "status_message": "Expired", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            events: &[],
        },
        ChangeCase {
            what: "a subscription is active again",
            model: "payments.Subscription",
            before: r#"{"id": 334, "status": "PAYMENT_ISSUE", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            after: r#"{"id": 334, "status": "ACTIVE", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            events: &[],
        },
        ChangeCase {
            what: "a subscription is saved again in the same status",
            model: "payments.Subscription",
            before: r#"{"id": 334, "status": "ACTIVE", "status_message": null, "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            after: r#"{"id": 334, "status": "ACTIVE", "status_message": "Paid", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            events: &[],
        },
        ChangeCase {
            what: "a subscription is deleted",
            model: "payments.Subscription",
            before: r#"{"id": 334, "status": "CANCELLED", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            after: "null",
            events: &[],
        },
    ];
}
