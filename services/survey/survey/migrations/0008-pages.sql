-- Pages of what was published, as they were drawn then: who serves them draws nothing
-- depends: 0007-keys-leave-no-bytes

-- migrate: apply

create table publication_page (
    questionnaire text not null,
    step int not null,
    language text not null,
    page text not null,
    primary key (questionnaire, step, language),
    foreign key (questionnaire, step) references publication on delete cascade
);

-- migrate: rollback

drop table publication_page;
