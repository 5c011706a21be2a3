//! Two resolvers of the same servers, one that validates and one that does not: DNSSEC is told where it is proven,
//! and never takes an answer away on our validator's word alone.

use std::sync::Arc;

use super::{Cause, Question, Resolve, Resolving};

/// Validates, and where that fails asks again without.
///
/// An answer is bogus only if our validation says so *and* the server does not hand it out either (a validating
/// server answers SERVFAIL then, RFC 4035 §5.5). Where only ours fails, what DNSSEC says is not known: our validator
/// may be wrong about a rare kind of proof, and a checker that calls a healthy domain forged does harm.
pub struct Confirmed {
    validating: Arc<dyn Resolve>,
    plain: Arc<dyn Resolve>,
}

impl Confirmed {
    /// `validating` is asked first; `plain`: the same servers without validation.
    pub fn new(validating: Arc<dyn Resolve>, plain: Arc<dyn Resolve>) -> Self {
        Self { validating, plain }
    }
}

impl Resolve for Confirmed {
    fn resolve<'a>(&'a self, question: &'a Question) -> Resolving<'a> {
        Box::pin(async move {
            let answer = self.validating.resolve(question).await;
            let cause = answer.trouble().map(|trouble| trouble.cause);
            // Who is silent is not asked twice, and what cannot be asked not at all.
            if matches!(cause, None | Some(Cause::Timeout | Cause::Budget | Cause::BadName)) {
                return answer;
            }
            let plain = self.plain.resolve(question).await;
            if plain.trouble().is_none() { plain } else { answer }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::dns::{Answer, Name, RecordData, RecordType, Security};

    /// Gives always the same answer, and counts.
    struct Always(Answer, AtomicUsize);

    impl Resolve for Always {
        fn resolve<'a>(&'a self, _: &'a Question) -> Resolving<'a> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Box::pin(std::future::ready(self.0.clone()))
        }
    }

    #[tokio::test]
    async fn bogus_needs_two_witnesses() {
        let found = |security| {
            let data = RecordData::Txt(vec![b"x".to_vec()]);
            Answer { security, ..Answer::records(vec![data]) }
        };
        let trouble = |cause| Answer::not_known(cause, "");
        let plain = || found(Security::NotKnown);
        for (validating, other, want, asked) in [
            (found(Security::Secure), plain(), found(Security::Secure), 0),
            (found(Security::Insecure), plain(), found(Security::Insecure), 0),
            (trouble(Cause::Bogus), trouble(Cause::ServerFailure), trouble(Cause::Bogus), 1),
            (trouble(Cause::Bogus), plain(), plain(), 1),
            (trouble(Cause::Bogus), Answer::no_name(), Answer::no_name(), 1),
            (trouble(Cause::ServerFailure), trouble(Cause::ServerFailure), trouble(Cause::ServerFailure), 1),
            (trouble(Cause::ServerFailure), plain(), plain(), 1),
            (trouble(Cause::Timeout), plain(), trouble(Cause::Timeout), 0),
        ] {
            let told = format!("{validating:?} {other:?}");
            let other = Arc::new(Always(other, AtomicUsize::new(0)));
            let validating = Arc::new(Always(validating, AtomicUsize::new(0)));
            let confirmed = Confirmed::new(validating, Arc::<Always>::clone(&other));
            let question = Question::new(Name::from_dotted("a.example").unwrap(), RecordType::Txt);
            assert_eq!(confirmed.resolve(&question).await, want, "{told}");
            assert_eq!(other.1.load(Ordering::Relaxed), asked, "{told}");
        }
    }
}
